#include "ops/rms_norm.h"

#include "cpu/blocks.h"
#include "cpu/norm_row.h"

namespace limo::LIMO_ISA {

void run(const RmsNorm& op, const CpuContext& context) {
  const int64_t columns = op.x.cols;
  for_rows(context, op.x.rows, [&](int64_t t) {
    const float* x = op.x.row(t);
    if (op.residual) {
      float* sum = op.sum.row(t);
      const float* residual = op.residual.row(t);
      for_lanes(
          columns, [&](int64_t i) { store(sum + i, load(x + i) + load(residual + i)); },
          [&](int64_t i, int64_t n) { store_partial(sum + i, load_partial(x + i, n) + load_partial(residual + i, n), n); });
      x = sum;
    }
    op.rstd.f32()[t] = norm_row(op.out.row(t), x, op.weight.f32(), columns, static_cast<float>(op.eps));
  });
}

void run(const RmsNormBackward& op, const CpuContext& context) {
  // The weight's gradient comes first: d_x may take the place of d_out.
  for_column_blocks(context, op.x.cols, [&](int64_t first, int64_t columns) {
    float* d_weight = op.d_weight.f32() + first;
    for_lanes(
        columns,
        [&](int64_t i) {
          Vec sum = {};
          for (int64_t t = 0; t < op.x.rows; ++t)
            sum = load(op.d_out.row(t) + first + i) * (load(op.x.row(t) + first + i) * splat(op.rstd.f32()[t])) + sum;
          store(d_weight + i, load(d_weight + i) + sum);
        },
        [&](int64_t i, int64_t n) {
          Vec sum = {};
          for (int64_t t = 0; t < op.x.rows; ++t)
            sum = load_partial(op.d_out.row(t) + first + i, n) *
                      (load_partial(op.x.row(t) + first + i, n) * splat(op.rstd.f32()[t])) + sum;
          store_partial(d_weight + i, load_partial(d_weight + i, n) + sum, n);
        });
  });
  for_rows(context, op.x.rows, [&](int64_t t) {
    norm_row_backward({.d_x = op.d_x.row(t), .d_out = op.d_out.row(t), .d_sum = op.d_sum ? op.d_sum.row(t) : nullptr,
                       .x = op.x.row(t), .weight = op.weight.f32(), .rstd = op.rstd.f32()[t]},
                      op.x.cols);
  });
}

}  // namespace limo::LIMO_ISA
