#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/api.h"

namespace limo {

// The CUDA backend, or the same sources over an emulator on the CPU, for tests.
enum class CudaLibrary { kCuda, kEmulated };

// Opens the library beside the addon, once. Throws kDeviceUnavailable with the reason: it was not built, does not load, or is
// of another version.
const CudaApi& open_cuda_library(CudaLibrary library);

struct CudaStatus {
  bool driver = false;   // libcuda.so.1 loads and initialises
  bool library = false;  // so does liblimo_cuda.so
  std::vector<uint64_t> memory_bytes;  // of each device
  std::string products;  // what multiplies matrices, or why nothing does; empty when it was not asked for
  std::string reason;    // why there is no usable device; empty when there is one
};

// Looks for an NVIDIA driver, without linking to it, and for the backend.
CudaStatus probe_cuda(bool with_products);

}  // namespace limo
