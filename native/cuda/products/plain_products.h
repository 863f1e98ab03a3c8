#pragma once

#include "cuda/products/products.h"

namespace limo::cuda {

// A product by a plain kernel, of any places, strides and sizes: for operands that no algorithm of cuBLASLt takes (rows of bfloat16 at odd
// places, as of an odd vocabulary).
void multiply_plainly(const CudaContext& context, const Product& product);

}  // namespace limo::cuda
