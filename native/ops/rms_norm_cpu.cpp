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
  const int64_t columns = op.x.cols;
  const auto input_gradient = [&](int64_t t) {
    norm_row_backward<T>({.d_x = op.d_x.row<T>(t), .d_out = op.d_out.row<T>(t), .d_sum = op.d_sum ? op.d_sum.row<T>(t) : nullptr,
                          .x = op.x.row<T>(t), .weight = op.weight.row<T>(0), .rstd = op.rstd.f32()[t]},
                         columns);
  };
  if (!op.d_weight) return for_rows(context, op.x.rows, input_gradient);
  for_rows_with_sums(context, op.x.rows, columns, op.d_weight.f32(), [&](int64_t t, float* sums) {
    // The weight's gradient comes first: d_x may overwrite d_out.
    add_weight_gradient(sums, op.d_out.row<T>(t), op.x.row<T>(t), op.rstd.f32()[t], columns);
    if (op.d_x) input_gradient(t);
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
