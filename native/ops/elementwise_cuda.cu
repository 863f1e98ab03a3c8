#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/elementwise.h"

namespace limo::cuda {
namespace {

// out = a + b, or a alone without b.
template <class To, class T, int N>
struct AddRows {
  To* out;
  const T *a, *b;
  int64_t out_stride, a_stride, b_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / packs_per_row, column = i % packs_per_row * N;
    float x[N];
    load<N>(x, a + row * a_stride + column);
    if (b) {
      float y[N];
      load<N>(y, b + row * b_stride + column);
#pragma unroll
      for (int j = 0; j < N; ++j) x[j] += y[j];
    }
    store<N>(out + row * out_stride + column, x);
  }
};

template <class To, class T, int N>
void add_rows(const CudaContext& context, const Tensor& out, const Tensor& a, const Tensor& b) {
  const int64_t packs = out.cols / N;
  for_each(context, out.rows * packs,
           AddRows<To, T, N>{out.row<To>(0), a.row<T>(0), b.row<T>(0), out.row_stride, a.row_stride, b.row_stride, static_cast<uint32_t>(packs)});
}

}  // namespace

void run(const Add& op, CudaContext& context) {
  with_pack(op.out.dtype, takes_packs(op.out) && takes_packs(op.a) && takes_packs(op.b), [&](auto element, auto size) {
    using T = decltype(element);
    add_rows<T, T, size>(context, op.out, op.a, op.b);
  });
}

void run(const Copy& op, CudaContext& context) {
  with_pack(op.out.dtype, takes_packs(op.out) && takes_packs(op.x), [&](auto element, auto size) {
    using T = decltype(element);
    add_rows<T, T, size>(context, op.out, op.x, Tensor{});
  });
}

void run(const Cast& op, CudaContext& context) {
  // Vectors, as one row.
  const Tensor out{op.out.data, op.out.dtype, 1, op.out.rows, op.out.rows}, x{op.x.data, op.x.dtype, 1, op.x.rows, op.x.rows};
  if (takes_packs(out) && takes_packs(x)) add_rows<Bf16, float, kPackSize>(context, out, x, Tensor{});
  else add_rows<Bf16, float, 1>(context, op.out, op.x, Tensor{});
}

void run(const Zero& op, CudaContext& context) {
  check_cuda(cudaMemsetAsync(op.out.data, 0, static_cast<size_t>(op.out.rows) * sizeof(float), context.stream()), "zero");
}

}  // namespace limo::cuda
