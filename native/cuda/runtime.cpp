#include "cuda/runtime.h"

#include <string>

#include "core/error.h"

namespace limo::cuda {
namespace {

constexpr size_t kSharedWithoutAsking = 48 << 10;
constexpr int kSwizzledElements = 64;  // 128 bytes

std::string describe(cudaError_t error) {
  std::string text = std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
#if defined(LIMO_CUDA_EMULATOR)
  if (const std::string found = emulator::failure(); !found.empty()) text += " (" + found + ")";
#endif
  return text;
}

// build/native/ops/rope_cuda.cu → rope_cuda.cu
std::string place(const std::source_location& site) {
  const std::string file = site.file_name();
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(site.line());
}

void check_map(const void* base, const int64_t (&sizes)[3], const int64_t (&strides_bytes)[2], const int (&box)[3]) {
  bool valid = reinterpret_cast<uintptr_t>(base) % 16 == 0 && box[0] == kSwizzledElements;
  for (const int64_t size : sizes) valid = valid && size > 0;
  for (const int64_t stride : strides_bytes) valid = valid && stride > 0 && stride % 16 == 0;
  for (const int extent : box) valid = valid && extent > 0 && extent <= 256;
  if (!valid) {
    throw Error(ErrorCode::kDeviceFailed,
                "expected a tensor map whose base and strides are multiples of 16 bytes and whose boxes have 64 contiguous elements, but "
                "received strides of " +
                    std::to_string(strides_bytes[0]) + " and " + std::to_string(strides_bytes[1]) + " bytes and boxes of " +
                    std::to_string(box[0]) + " × " + std::to_string(box[1]) + " × " + std::to_string(box[2]));
  }
}

}  // namespace

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  // Clears the error: the next launch must not report it as its own.
  cudaGetLastError();
  const ErrorCode code = error == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDeviceFailed;
  throw Error(code, std::string(what) + " failed with " + describe(error));
}

void check_launch(cudaError_t error, const std::source_location& site) {
  if (error != cudaSuccess) check_cuda(error, ("the kernel launched at " + place(site)).c_str());
  check_cuda(cudaGetLastError(), ("what was launched before " + place(site)).c_str());
}

void allow_shared_memory(const void* kernel, size_t bytes, const std::source_location& site) {
  if (bytes <= kSharedWithoutAsking) return;
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (error != cudaSuccess)
    check_cuda(error, (std::to_string(bytes) + " bytes of shared memory for the kernel launched at " + place(site)).c_str());
}

#if defined(LIMO_CUDA_EMULATOR)

TensorMap make_tensor_map_3d(const Bf16* base, const int64_t (&sizes)[3], const int64_t (&strides_bytes)[2], const int (&box)[3]) {
  check_map(base, sizes, strides_bytes, box);
  return {reinterpret_cast<const unsigned char*>(base),
          {sizes[0], sizes[1], sizes[2]},
          {2, strides_bytes[0], strides_bytes[1]},
          {box[0], box[1], box[2]}};
}

#else

namespace {

// The driver's function, found at run time so that nothing links to the driver.
auto encoder() {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    constexpr unsigned kFirstVersion = 12000;
    check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kFirstVersion, cudaEnableDefault, &found),
               "the search for cuTensorMapEncodeTiled");
    if (found != cudaDriverEntryPointSuccess || !function) {
      throw Error(ErrorCode::kDeviceUnavailable,
                  "expected a driver with cuTensorMapEncodeTiled (CUDA 12.0 or later) but received an older one");
    }
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

}  // namespace

TensorMap make_tensor_map_3d(const Bf16* base, const int64_t (&sizes)[3], const int64_t (&strides_bytes)[2], const int (&box)[3]) {
  check_map(base, sizes, strides_bytes, box);
  const cuuint64_t extents[] = {static_cast<cuuint64_t>(sizes[0]), static_cast<cuuint64_t>(sizes[1]), static_cast<cuuint64_t>(sizes[2])};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(strides_bytes[0]), static_cast<cuuint64_t>(strides_bytes[1])};
  const cuuint32_t boxes[] = {static_cast<cuuint32_t>(box[0]), static_cast<cuuint32_t>(box[1]), static_cast<cuuint32_t>(box[2])};
  const cuuint32_t steps[] = {1, 1, 1};
  TensorMap map;
  const CUresult result = encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<Bf16*>(base), extents, strides, boxes, steps,
                                    CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                    CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Error(ErrorCode::kDeviceFailed, "a tensor map failed with error " + std::to_string(result) + " of the driver");
  return map;
}

#endif

}  // namespace limo::cuda
