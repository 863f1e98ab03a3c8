#pragma once

#include <cstdint>

namespace limo::cuda {

// Contents of a CUtensorMap for a tensor of three dimensions, the first one contiguous: bfloat16, rows of a box swizzled over 128 bytes,
// zeros outside.
struct TensorMap {
  const unsigned char* base;
  int64_t sizes[3];
  int64_t strides[3];  // bytes; the first is that of an element
  int box[3];
};

}  // namespace limo::cuda
