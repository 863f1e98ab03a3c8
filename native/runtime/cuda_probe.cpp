#include "runtime/cuda_probe.h"

#include <dlfcn.h>

namespace limo {

CudaStatus probe_cuda() {
  CudaStatus status;
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    status.reason = "no NVIDIA driver: libcuda.so.1 does not load";
    return status;
  }
  // The library stays open: drivers do not survive being closed and opened again.
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(library, "cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(dlsym(library, "cuDeviceGetCount"));
  if (!init || !count) {
    status.reason = "libcuda.so.1 has no cuInit";
    return status;
  }
  if (const int code = init(0); code != 0) {
    status.reason = "the NVIDIA driver does not initialise (cuInit returned " + std::to_string(code) + ")";
    return status;
  }
  status.driver = true;
  if (count(&status.devices) != 0 || status.devices == 0) status.reason = "the NVIDIA driver sees no device";
  return status;
}

}  // namespace limo
