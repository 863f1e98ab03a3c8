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
  for_column_blocks(context, dim, [&](int64_t first, int64_t columns) {
    float sum[kColumnsPerTask] = {};
    for (int64_t t = 0; t < op.x.rows; ++t)
      for (int64_t h = 0; h < heads; ++h) {
        const T* d_out = op.d_out.row<T>(t) + h * dim + first;
        const T* x = op.x.row<T>(t) + h * dim + first;
        const Vec rstd = splat(op.rstd.row(t)[h]);
        for_lanes(
            columns, [&](int64_t i) { store(sum + i, load(d_out + i) * (load(x + i) * rstd) + load(sum + i)); },
            [&](int64_t i, int64_t n) {
              store_partial(sum + i, load_partial(d_out + i, n) * (load_partial(x + i, n) * rstd) + load_partial(sum + i, n), n);
            });
      }
    for (int64_t i = 0; i < columns; ++i) op.d_weight.f32()[first + i] += sum[i];
  });
  for_rows(context, op.x.rows, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h)
      norm_row_backward<T>({.d_x = op.d_x.row<T>(t) + h * dim, .d_out = op.d_out.row<T>(t) + h * dim, .d_sum = nullptr,
                            .x = op.x.row<T>(t) + h * dim, .weight = op.weight.row<T>(0), .rstd = op.rstd.row(t)[h]},
                           dim);
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
