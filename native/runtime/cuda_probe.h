#pragma once

#include <string>

namespace limo {

struct CudaStatus {
  bool driver = false;  // libcuda.so.1 loads and initialises
  int devices = 0;
  std::string reason;  // why not, when there is no usable device
};

// Looks for an NVIDIA driver without linking to it.
CudaStatus probe_cuda();

}  // namespace limo
