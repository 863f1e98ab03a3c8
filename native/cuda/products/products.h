#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace limo {

class CudaContext;

// A row-major matrix on the device, of float32 or bfloat16.
struct Matrix {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t row_stride = 0;  // elements
  bool transposed = false;  // the product reads its transpose
};

// c[m,n] = Σ_k a[m,k]·b[k,n] + bias[n], or c += that product; sums in float32.
struct Product {
  int64_t m = 0, n = 0, k = 0;
  Matrix a;  // [m, k], or [k, m] when transposed
  Matrix b;  // [k, n], or [n, k] when transposed; same type as a
  void* c = nullptr;  // [m, n]
  DType c_dtype = DType::kF32;
  int64_t c_row_stride = 0;
  bool accumulate = false;     // c += …, float32 only
  const void* bias = nullptr;  // [n], of c's type; not together with accumulate
};

// Matrix products of a device by cuBLASLt, and by a plain kernel what it refuses. The same product gives the same bits.
class MatrixProducts {
 public:
  virtual ~MatrixProducts() = default;
  // Queues a product on the context's stream. Throws kDeviceFailed.
  virtual void multiply(const Product& product) = 0;
  // How many products the library refused so far: the plain kernel takes a thousand times as long.
  virtual uint64_t refused() const = 0;
  // Name, version and path.
  virtual std::string description() const = 0;
};

// Name, version and path of the library for matrix products, found without a device. Throws kDeviceUnavailable when there is none.
std::string find_matrix_products();

// Throws kDeviceUnavailable when no library for it is found, saying where it was looked for, or when it multiplies wrongly.
std::unique_ptr<MatrixProducts> open_matrix_products(CudaContext& context);

}  // namespace limo
