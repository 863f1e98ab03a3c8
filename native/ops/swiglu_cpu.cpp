#include "ops/swiglu.h"

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {
namespace {

LIMO_INLINE Vec sigmoid(Vec x) { return splat(1.0f) / (splat(1.0f) + exponential(-x)); }

template <class T>
void swiglu_rows(const Swiglu& op, const CpuContext& context) {
  for_rows(context, op.out.rows, [&](int64_t t) {
    const T *gate = op.gate.row<T>(t), *up = op.up.row<T>(t);
    T* out = op.out.row<T>(t);
    for_lanes(
        op.out.cols,
        [&](int64_t i) {
          const Vec g = load(gate + i);
          store(out + i, g * sigmoid(g) * load(up + i));
        },
        [&](int64_t i, int64_t n) {
          const Vec g = load_partial(gate + i, n);
          store_partial(out + i, g * sigmoid(g) * load_partial(up + i, n), n);
        });
  });
}

template <class T>
void swiglu_rows_backward(const SwigluBackward& op, const CpuContext& context) {
  for_rows(context, op.d_out.rows, [&](int64_t t) {
    const T *gate = op.gate.row<T>(t), *up = op.up.row<T>(t), *d_out = op.d_out.row<T>(t);
    T *d_gate = op.d_gate.row<T>(t), *d_up = op.d_up.row<T>(t);
    for_lanes(
        op.d_out.cols,
        [&](int64_t i) {
          const Vec g = load(gate + i), u = load(up + i), d = load(d_out + i), s = sigmoid(g);
          store(d_up + i, d * g * s);
          store(d_gate + i, d * u * s * (splat(1.0f) + g * (splat(1.0f) - s)));
        },
        [&](int64_t i, int64_t n) {
          const Vec g = load_partial(gate + i, n), u = load_partial(up + i, n), d = load_partial(d_out + i, n), s = sigmoid(g);
          store_partial(d_up + i, d * g * s, n);
          store_partial(d_gate + i, d * u * s * (splat(1.0f) + g * (splat(1.0f) - s)), n);
        });
  });
}

}  // namespace

void run(const Swiglu& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { swiglu_rows<decltype(element)>(op, context); });
}

void run(const SwigluBackward& op, const CpuContext& context) {
  with_element(op.d_out.dtype, [&](auto element) { swiglu_rows_backward<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
