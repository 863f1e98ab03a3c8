#include "ops/rms_norm.h"

#include "cpu/blocks.h"
#include "cpu/norm_row.h"

namespace limo::LIMO_ISA {
namespace {

template <class T>
void norm_rows(const RmsNorm& op, const CpuContext& context) {
  const int64_t columns = op.x.cols;
  for_rows(context, op.x.rows, [&](int64_t t) {
    const T* x = op.x.row<T>(t);
    if (op.residual) {
      T* sum = op.sum.row<T>(t);
      const T* residual = op.residual.row<T>(t);
      for_lanes(
          columns, [&](int64_t i) { store(sum + i, load(x + i) + load(residual + i)); },
          [&](int64_t i, int64_t n) { store_partial(sum + i, load_partial(x + i, n) + load_partial(residual + i, n), n); });
      x = sum;
    }
    op.rstd.f32()[t] = norm_row<T>(op.out.row<T>(t), x, op.weight.row<T>(0), columns, static_cast<float>(op.eps));
  });
}

template <class T>
void norm_rows_backward(const RmsNormBackward& op, const CpuContext& context) {
  // The weight's gradient comes first: d_x may take the place of d_out.
  for_column_blocks(context, op.x.cols, [&](int64_t first, int64_t columns) {
    float* d_weight = op.d_weight.f32() + first;
    for_lanes(
        columns,
        [&](int64_t i) {
          Vec sum = {};
          for (int64_t t = 0; t < op.x.rows; ++t)
            sum = load(op.d_out.row<T>(t) + first + i) * (load(op.x.row<T>(t) + first + i) * splat(op.rstd.f32()[t])) + sum;
          store(d_weight + i, load(d_weight + i) + sum);
        },
        [&](int64_t i, int64_t n) {
          Vec sum = {};
          for (int64_t t = 0; t < op.x.rows; ++t)
            sum = load_partial(op.d_out.row<T>(t) + first + i, n) *
                      (load_partial(op.x.row<T>(t) + first + i, n) * splat(op.rstd.f32()[t])) + sum;
          store_partial(d_weight + i, load_partial(d_weight + i, n) + sum, n);
        });
  });
  for_rows(context, op.x.rows, [&](int64_t t) {
    norm_row_backward<T>({.d_x = op.d_x.row<T>(t), .d_out = op.d_out.row<T>(t), .d_sum = op.d_sum ? op.d_sum.row<T>(t) : nullptr,
                          .x = op.x.row<T>(t), .weight = op.weight.row<T>(0), .rstd = op.rstd.f32()[t]},
                         op.x.cols);
  });
}

}  // namespace

void run(const RmsNorm& op, const CpuContext& context) {
  with_element(op.x.dtype, [&](auto element) { norm_rows<decltype(element)>(op, context); });
}

void run(const RmsNormBackward& op, const CpuContext& context) {
  with_element(op.x.dtype, [&](auto element) { norm_rows_backward<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
