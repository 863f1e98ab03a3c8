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
  const auto input_gradient = [&](int64_t t, int64_t h) {
    norm_row_backward<T>({.d_x = op.d_x.row<T>(t) + h * dim, .d_out = op.d_out.row<T>(t) + h * dim, .d_sum = nullptr,
                          .x = op.x.row<T>(t) + h * dim, .weight = op.weight.row<T>(0), .rstd = op.rstd.row(t)[h]},
                         dim);
  };
  if (!op.d_weight)
    return for_rows(context, op.x.rows, [&](int64_t t) {
      for (int64_t h = 0; h < heads; ++h) input_gradient(t, h);
    });
  for_rows_with_sums(context, op.x.rows, dim, op.d_weight.f32(), [&](int64_t t, float* sums) {
    for (int64_t h = 0; h < heads; ++h) {
      add_weight_gradient(sums, op.d_out.row<T>(t) + h * dim, op.x.row<T>(t) + h * dim, op.rstd.row(t)[h], dim);
      if (op.d_x) input_gradient(t, h);
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
