#include "runtime/cuda_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include "core/error.h"

namespace limo {
namespace {

struct Opened {
  const CudaApi* api = nullptr;
  std::string reason;
};

// The folder of the file that this function was compiled into.
std::string addon_folder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&addon_folder), &info) || !info.dli_fname) return ".";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// `missing`: why a build has no such library, and what makes one.
Opened open(const char* name, const char* missing) {
  const std::string path = addon_folder() + "/" + name;
  if (access(path.c_str(), F_OK) != 0) return {nullptr, missing};
  // It stays open: CUDA does not survive being closed and opened again.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return {nullptr, std::string(name) + " does not load (" + dlerror() + ")"};
  const auto function = reinterpret_cast<CudaApiFunction>(dlsym(library, kCudaApiSymbol));
  const CudaApi* api = function ? function() : nullptr;
  if (!api || api->version != kCudaApiVersion)
    return {nullptr, std::string(name) + " is of another version than the addon; build both again"};
  return {api, ""};
}

const Opened& opened(CudaLibrary library) {
  static const Opened cuda =
      open("liblimo_cuda.so", "this build has no CUDA backend: LIMO_CUDA=ON and a build (npm run build:native, or npx limo-native build) make one, with nvcc");
  static const Opened emulated = open("liblimo_cuda_emulated.so", "this build has no emulator of CUDA: npm run build:emulator makes one, in a clone");
  return library == CudaLibrary::kCuda ? cuda : emulated;
}

}  // namespace

const CudaApi& open_cuda_library(CudaLibrary library) {
  const Opened& known = opened(library);
  if (!known.api) throw Error(ErrorCode::kDeviceUnavailable, known.reason);
  return *known.api;
}

CudaStatus probe_cuda(bool with_products) {
  CudaStatus status;
  const Opened& known = opened(CudaLibrary::kCuda);
  status.library = known.api != nullptr;
  char products[512] = "";
  CudaFailure failure;
  if (known.api && with_products) status.products = known.api->find_products(products, &failure) ? products : failure.message;
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  const auto init = driver ? reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit")) : nullptr;
  const auto count = driver ? reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount")) : nullptr;
  const auto memory = driver ? reinterpret_cast<int (*)(size_t*, int)>(dlsym(driver, "cuDeviceTotalMem_v2")) : nullptr;
  const int code = init && count ? init(0) : 0;
  if (!driver) status.reason = "there is no NVIDIA driver: libcuda.so.1 does not load";
  else if (!init || !count) status.reason = "libcuda.so.1 has no cuInit";
  else if (code != 0) status.reason = "the NVIDIA driver does not initialise (cuInit returned " + std::to_string(code) + ")";
  status.driver = init && count && code == 0;
  int devices = 0;
  if (status.driver && (count(&devices) != 0 || devices == 0)) status.reason = "the NVIDIA driver sees no device";
  for (int device = 0; device < devices; ++device) {
    size_t bytes = 0;
    if (memory) memory(&bytes, device);
    status.memory_bytes.push_back(bytes);
  }
  if (!known.api) status.reason = known.reason + (status.reason.empty() ? "" : "; " + status.reason);
  return status;
}

}  // namespace limo
