#include "ops/linear.h"

#include "cpu/blocks.h"
#include "cpu/gemm.h"

namespace limo::LIMO_ISA {
namespace {

// d_bias[n] += Σ_t d_y[t,n]
template <class T>
void add_to_bias(const LinearBackwardWeight& op, const CpuContext& context) {
  for_column_blocks(context, op.d_y.cols, [&](int64_t first, int64_t columns) {
    add_column_sums(op.d_bias.f32() + first, op.d_y.rows, columns,
                    [&](int64_t t, int64_t i, int64_t n, Vec sum) { return sum + load_up_to(op.d_y.row<T>(t) + first + i, n); });
  });
}

}  // namespace

void run(const Linear& op, const CpuContext& context) {
  with_element(op.y.dtype, [&](auto element) {
    using T = decltype(element);
    gemm(Gemm<T, T>{.m = op.y.rows, .n = op.y.cols, .k = op.x.cols,
                    .a = op.x.row<T>(0), .a_row_stride = op.x.row_stride, .a_k_stride = 1,
                    .b = op.weight.row<T>(0), .b_k_stride = 1, .b_col_stride = op.weight.row_stride,
                    .c = op.y.row<T>(0), .c_stride = op.y.row_stride, .bias = op.bias ? op.bias.row<T>(0) : nullptr},
         context);
  });
}

void run(const LinearBackwardInput& op, const CpuContext& context) {
  with_element(op.d_x.dtype, [&](auto element) {
    using T = decltype(element);
    gemm(Gemm<T, T>{.m = op.d_x.rows, .n = op.d_x.cols, .k = op.d_y.cols,
                    .a = op.d_y.row<T>(0), .a_row_stride = op.d_y.row_stride, .a_k_stride = 1,
                    .b = op.weight.row<T>(0), .b_k_stride = op.weight.row_stride, .b_col_stride = 1,
                    .c = op.d_x.row<T>(0), .c_stride = op.d_x.row_stride},
         context);
  });
}

void run(const LinearBackwardWeight& op, const CpuContext& context) {
  with_element(op.x.dtype, [&](auto element) {
    using T = decltype(element);
    if (op.d_weight)
      gemm(Gemm<T, float>{.m = op.d_weight.rows, .n = op.d_weight.cols, .k = op.x.rows,
                          .a = op.d_y.row<T>(0), .a_row_stride = 1, .a_k_stride = op.d_y.row_stride,
                          .b = op.x.row<T>(0), .b_k_stride = op.x.row_stride, .b_col_stride = 1,
                          .c = op.d_weight.f32(), .c_stride = op.d_weight.row_stride, .accumulate = true},
           context);
    if (op.d_bias) add_to_bias<T>(op, context);
  });
}

}  // namespace limo::LIMO_ISA
