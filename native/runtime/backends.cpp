#include "runtime/backends.h"

#include <algorithm>
#include <climits>

#include "core/error.h"
#include "runtime/cpu_device.h"
#include "runtime/cuda_device.h"

namespace limo {
namespace {

Isa isa_of(const std::string& name) {
  if (name.empty()) return best_isa();
  for (Isa isa : kAllIsas) {
    if (name != isa_name(isa) || !isa_supported(isa)) continue;
    if (isa_built(isa)) return isa;
    throw Error(ErrorCode::kDeviceUnavailable, "this build has no kernels for \"" + name + "\": limo-native build --isa all makes them");
  }
  throw Error(ErrorCode::kDeviceUnavailable, "this processor has no instruction set \"" + name + "\"");
}

std::shared_ptr<Device> open_cpu(const DeviceOptions& options) {
  if (options.threads < 1 || options.threads > 1024)
    throw Error(ErrorCode::kInputInvalid, "expected 1 to 1024 threads but received " + std::to_string(options.threads));
  return std::make_shared<CpuDevice>(static_cast<int>(options.threads), isa_of(options.isa));
}

template <CudaLibrary library>
std::shared_ptr<Device> open_cuda(const DeviceOptions& options) {
  return std::make_shared<CudaDevice>(library, static_cast<int>(std::min<uint64_t>(options.ordinal, INT_MAX)));
}

}  // namespace

const std::vector<DeviceKind>& device_kinds() {
  static const std::vector<DeviceKind> kinds = {
      {"cpu", open_cpu},
      {"cuda", open_cuda<CudaLibrary::kCuda>},
      {"cuda-emulated", open_cuda<CudaLibrary::kEmulated>},
  };
  return kinds;
}

}  // namespace limo
