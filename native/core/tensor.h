#pragma once

#include <cstdint>

// Kernel files are compiled once per instruction set. An inline function with external linkage that is not inlined could
// be merged by the linker into the copy with the widest instructions, so whatever such files share is always inlined.
#define LIMO_INLINE inline __attribute__((always_inline))

namespace limo {

enum class DType : int32_t { kF32 = 0, kI32 = 1, kBF16 = 2, kF16 = 3 };

// A bfloat16: the upper half of a float32. Kernels compute in float32 and round once, when they store.
struct Bf16 {
  uint16_t bits;
};

LIMO_INLINE int64_t dtype_bytes(DType dtype) { return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2; }

// A row-major view of one to three dimensions inside an arena, the last one contiguous.
// A vector [n] has rows = n and cols = 1; [p, n, c] has p planes of n rows, dense; a missing optional operand has data = nullptr.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 1;
  int64_t row_stride = 1;  // elements between the starts of two rows, ≥ cols
  int64_t planes = 1;

  LIMO_INLINE explicit operator bool() const { return data != nullptr; }
  LIMO_INLINE float* f32() const { return static_cast<float*>(data); }
  LIMO_INLINE int32_t* i32() const { return static_cast<int32_t*>(data); }
  // One plane of three dimensions; T is float unless it is said to be Bf16.
  template <class T = float>
  LIMO_INLINE T* plane(int64_t p) const {
    return static_cast<T*>(data) + p * rows * row_stride;
  }
  // The first element of row r; T is float unless it is said to be Bf16.
  template <class T = float>
  LIMO_INLINE T* row(int64_t r) const {
    return static_cast<T*>(data) + r * row_stride;
  }
};

}  // namespace limo
