// What multiplies matrices where the device is an emulator: plain loops on the host.
#include <vector>

#include "core/error.h"
#include "cuda/context.h"
#include "cuda/device.h"
#include "cuda/products.h"

namespace limo {
namespace {

float element(const Matrix& matrix, int64_t row, int64_t column) {
  const int64_t at = matrix.transposed ? column * matrix.row_stride + row : row * matrix.row_stride + column;
  return matrix.dtype == DType::kBF16 ? cuda::to_float(static_cast<const Bf16*>(matrix.data)[at]) : static_cast<const float*>(matrix.data)[at];
}

class EmulatedProducts : public MatrixProducts {
 public:
  void multiply(const Product& p) override {
    // b as rows of columns, so that the innermost loop runs over neighbours.
    std::vector<float> b(static_cast<size_t>(p.k * p.n)), sums(static_cast<size_t>(p.n));
    for (int64_t k = 0; k < p.k; ++k)
      for (int64_t n = 0; n < p.n; ++n) b[static_cast<size_t>(k * p.n + n)] = element(p.b, k, n);
    for (int64_t m = 0; m < p.m; ++m) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (int64_t k = 0; k < p.k; ++k) {
        const float a = element(p.a, m, k);
        const float* row = b.data() + k * p.n;
        for (int64_t n = 0; n < p.n; ++n) sums[static_cast<size_t>(n)] += a * row[n];
      }
      store_row(p, m, sums);
    }
  }
  bool emulated() const override { return true; }
  std::string description() const override { return find_matrix_products(); }

 private:
  static void store_row(const Product& p, int64_t m, const std::vector<float>& sums) {
    for (int64_t n = 0; n < p.n; ++n) {
      float sum = sums[static_cast<size_t>(n)];
      if (p.c_dtype == DType::kBF16) {
        Bf16* const to = static_cast<Bf16*>(p.c) + m * p.c_row_stride + n;
        if (p.bias) sum += cuda::to_float(static_cast<const Bf16*>(p.bias)[n]);
        *to = cuda::to_bf16(sum);
      } else {
        float* const to = static_cast<float*>(p.c) + m * p.c_row_stride + n;
        if (p.bias) sum += static_cast<const float*>(p.bias)[n];
        *to = p.accumulate ? *to + sum : sum;
      }
    }
  }
};

}  // namespace

std::string find_matrix_products() { return "products by the emulator"; }

std::unique_ptr<MatrixProducts> open_matrix_products(CudaContext&) { return std::make_unique<EmulatedProducts>(); }

}  // namespace limo
