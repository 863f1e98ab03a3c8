#include <algorithm>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/linear.h"

namespace limo::cuda {
namespace {

Matrix matrix(const Tensor& tensor, bool transposed = false) { return {tensor.data, tensor.dtype, tensor.row_stride, transposed}; }

// Rows per block: few enough that at 16,384 rows a bias of some hundred numbers still fills the device.
constexpr int64_t kRowsPerBlock = 16;

// A thread adds up N columns of a block of rows, in their order.
template <class T, int N>
struct SumColumns {
  using Index = uint32_t;
  float* partial;  // [blocks of rows, columns]
  const T* x;
  int64_t stride, rows;
  uint32_t columns;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t packs = columns / N, block = i / packs, column = i % packs * N;
    const int64_t first = block * kRowsPerBlock, end = first + kRowsPerBlock < rows ? first + kRowsPerBlock : rows;
    float sum[N] = {};
#pragma unroll 8
    for (int64_t row = first; row < end; ++row) {
      float v[N];
      load<N>(v, x + row * stride + column);
#pragma unroll
      for (int j = 0; j < N; ++j) sum[j] += v[j];
    }
#pragma unroll
    for (int j = 0; j < N; ++j) partial[static_cast<int64_t>(block) * columns + column + j] = sum[j];
  }
};

// to[n] += Σ_t x[t,n], over as many rows at a time as the working memory of partial sums allows.
void add_column_sums(CudaContext& context, float* to, const Tensor& x) {
  const int64_t blocks_at_once = static_cast<int64_t>(kPartialBytes / sizeof(float)) / x.cols;
  with_pack(x.dtype, takes_packs(x), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    for (int64_t row = 0; row < x.rows; row += blocks_at_once * kRowsPerBlock) {
      const int64_t rows = std::min(x.rows - row, blocks_at_once * kRowsPerBlock), blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
      float* partial = context.partial_sums<float>(blocks * x.cols);
      for_each(context, blocks * x.cols / N, SumColumns<T, N>{partial, x.row<T>(row), x.row_stride, rows, static_cast<uint32_t>(x.cols)});
      add_partial_sums(context, to, partial, blocks, x.cols);
    }
  });
}

}  // namespace

template <>
size_t check_limits(const LinearBackwardWeight& op, const CudaContext&) {
  constexpr int64_t kMost = kPartialBytes / sizeof(float);
  if (op.d_bias && op.d_bias.rows > kMost)
    throw Error(ErrorCode::kProgramInvalid, "expected a bias of at most " + std::to_string(kMost) + " numbers but received " + std::to_string(op.d_bias.rows));
  return 0;
}

void run(const Linear& op, CudaContext& context) {
  context.products().multiply({.m = op.x.rows, .n = op.weight.rows, .k = op.x.cols, .a = matrix(op.x), .b = matrix(op.weight, true), .c = op.y.data,
                               .c_dtype = op.y.dtype, .c_row_stride = op.y.row_stride, .accumulate = false, .bias = op.bias.data});
}

void run(const LinearBackwardInput& op, CudaContext& context) {
  context.products().multiply({.m = op.d_y.rows, .n = op.weight.cols, .k = op.weight.rows, .a = matrix(op.d_y), .b = matrix(op.weight), .c = op.d_x.data,
                               .c_dtype = op.d_x.dtype, .c_row_stride = op.d_x.row_stride, .accumulate = false, .bias = nullptr});
}

void run(const LinearBackwardWeight& op, CudaContext& context) {
  if (op.d_weight)
    context.products().multiply({.m = op.d_y.cols, .n = op.x.cols, .k = op.x.rows, .a = matrix(op.d_y, true), .b = matrix(op.x), .c = op.d_weight.data,
                                 .c_dtype = op.d_weight.dtype, .c_row_stride = op.d_weight.row_stride, .accumulate = true, .bias = nullptr});
  if (op.d_bias) add_column_sums(context, op.d_bias.f32(), op.d_y);
}

}  // namespace limo::cuda
