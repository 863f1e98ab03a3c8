#include "ops/head_norm.h"

#include "cpu/blocks.h"
#include "cpu/norm_row.h"

namespace limo::LIMO_ISA {
namespace {

template <class T>
void norm_heads(const HeadNorm& op, const CpuContext& context) {
  const int64_t heads = op.rstd.cols, dim = op.weight.rows;
  for_rows(context, op.x.rows, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h)
      op.rstd.row(t)[h] = norm_row<T>(op.out.row<T>(t) + h * dim, op.x.row<T>(t) + h * dim, op.weight.row<T>(0), dim,
                                      static_cast<float>(op.eps));
  });
}

template <class T>
void norm_heads_backward(const HeadNormBackward& op, const CpuContext& context) {
  const int64_t heads = op.rstd.cols, dim = op.weight.rows;
  for_rows_with_sums(context, op.x.rows, dim, op.d_weight.f32(), [&](int64_t t, float* sums) {
    for (int64_t h = 0; h < heads; ++h) {
      const T *d_out = op.d_out.row<T>(t) + h * dim, *x = op.x.row<T>(t) + h * dim;
      const float rstd = op.rstd.row(t)[h];
      add_weight_gradient(sums, d_out, x, rstd, dim);
      norm_row_backward<T>({.d_x = op.d_x.row<T>(t) + h * dim, .d_out = d_out, .d_sum = nullptr, .x = x, .weight = op.weight.row<T>(0), .rstd = rstd},
                           dim);
    }
  });
}

}  // namespace

void run(const HeadNorm& op, const CpuContext& context) {
  with_element(op.x.dtype, [&](auto element) { norm_heads<decltype(element)>(op, context); });
}

void run(const HeadNormBackward& op, const CpuContext& context) {
  with_element(op.x.dtype, [&](auto element) { norm_heads_backward<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
