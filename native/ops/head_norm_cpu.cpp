#include "ops/head_norm.h"

#include "cpu/blocks.h"
#include "cpu/norm_row.h"

namespace limo::LIMO_ISA {

void run(const HeadNorm& op, const CpuContext& context) {
  const int64_t heads = op.rstd.cols, dim = op.weight.rows;
  for_rows(context, op.x.rows, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h)
      op.rstd.row(t)[h] =
          norm_row(op.out.row(t) + h * dim, op.x.row(t) + h * dim, op.weight.f32(), dim, static_cast<float>(op.eps));
  });
}

void run(const HeadNormBackward& op, const CpuContext& context) {
  const int64_t heads = op.rstd.cols, dim = op.weight.rows;
  for_column_blocks(context, dim, [&](int64_t first, int64_t columns) {
    float sum[kColumnsPerTask] = {};
    for (int64_t t = 0; t < op.x.rows; ++t)
      for (int64_t h = 0; h < heads; ++h) {
        const float* d_out = op.d_out.row(t) + h * dim + first;
        const float* x = op.x.row(t) + h * dim + first;
        const float rstd = op.rstd.row(t)[h];
        for (int64_t i = 0; i < columns; ++i) sum[i] += d_out[i] * (x[i] * rstd);
      }
    for (int64_t i = 0; i < columns; ++i) op.d_weight.f32()[first + i] += sum[i];
  });
  for_rows(context, op.x.rows, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h)
      norm_row_backward({.d_x = op.d_x.row(t) + h * dim, .d_out = op.d_out.row(t) + h * dim, .d_sum = nullptr,
                         .x = op.x.row(t) + h * dim, .weight = op.weight.f32(), .rstd = op.rstd.row(t)[h]},
                        dim);
  });
}

}  // namespace limo::LIMO_ISA
