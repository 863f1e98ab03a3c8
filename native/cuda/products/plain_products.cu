#include "cuda/products/plain_products.h"

#include "cuda/elements.h"

namespace limo::cuda {
namespace {

// The rows or columns of a matrix that a product reads.
template <class T>
struct Operand {
  const T* data;
  int64_t across, along;  // strides from one row (or column) to the next, and within it
};

template <class T>
Operand<T> rows_of(const Matrix& m) {
  const T* data = static_cast<const T*>(m.data);
  return m.transposed ? Operand<T>{data, 1, m.row_stride} : Operand<T>{data, m.row_stride, 1};
}

template <class T>
Operand<T> columns_of(const Matrix& m) {
  const T* data = static_cast<const T*>(m.data);
  return m.transposed ? Operand<T>{data, m.row_stride, 1} : Operand<T>{data, 1, m.row_stride};
}

// A thread sums up one element, in the order of k.
template <class T, class C>
struct MultiplyEach {
  using Index = int64_t;
  Operand<T> a, b;
  C* c;
  const C* bias;  // or null
  int64_t c_stride, inner;
  int64_t columns;
  bool accumulate;

  LIMO_DEVICE void operator()(int64_t i) const {
    const int64_t row = i / columns, column = i % columns;
    const T* const x = a.data + row * a.across;
    const T* const y = b.data + column * b.across;
    float sum = 0;
    for (int64_t k = 0; k < inner; ++k) sum += widen(x[k * a.along]) * widen(y[k * b.along]);
    C* const to = c + row * c_stride + column;
    if (bias) sum += widen(bias[column]);
    if (accumulate) sum += widen(*to);
    narrow(*to, sum);
  }
};

template <class T, class C>
void multiply(const CudaContext& context, const Product& p) {
  for_each(context, p.m * p.n,
           MultiplyEach<T, C>{rows_of<T>(p.a), columns_of<T>(p.b), static_cast<C*>(p.c), static_cast<const C*>(p.bias), p.c_row_stride, p.k,
                              p.n, p.accumulate});
}

}  // namespace

void multiply_plainly(const CudaContext& context, const Product& p) {
  if (p.a.dtype == DType::kF32) multiply<float, float>(context, p);
  else if (p.c_dtype == DType::kF32) multiply<Bf16, float>(context, p);
  else multiply<Bf16, Bf16>(context, p);
}

}  // namespace limo::cuda
