#include "ops/rope.h"

#include <cmath>

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {
namespace {

template <class T>
void rotate(const Rope& op, const CpuContext& context) {
  const int64_t half = op.cos.cols;
  const Vec direction = splat(static_cast<float>(op.direction));
  for_rows(context, op.x.rows, [&](int64_t t) {
    const float* cos = op.cos.row(t);
    const float* sin = op.sin.row(t);
    for (int64_t head = 0; head < op.x.cols; head += 2 * half) {
      const T* x = op.x.row<T>(t) + head;
      T* out = op.out.row<T>(t) + head;
      for_lanes(
          half,
          [&](int64_t p) {
            const Vec a = load(x + p), b = load(x + half + p), c = load(cos + p), s = load(sin + p) * direction;
            store(out + p, a * c - b * s);
            store(out + half + p, b * c + a * s);
          },
          [&](int64_t p, int64_t n) {
            const Vec a = load_partial(x + p, n), b = load_partial(x + half + p, n);
            const Vec c = load_partial(cos + p, n), s = load_partial(sin + p, n) * direction;
            store_partial(out + p, a * c - b * s, n);
            store_partial(out + half + p, b * c + a * s, n);
          });
    }
  });
}

}  // namespace

void run(const RotaryTable& op, const CpuContext& context) {
  for_rows(context, op.cos.rows, [&](int64_t t) {
    for (int64_t p = 0; p < op.cos.cols; ++p) {
      const double angle = static_cast<double>(op.positions.i32()[t]) * static_cast<double>(op.inverse_frequency.f32()[p]);
      op.cos.row(t)[p] = static_cast<float>(::cos(angle));
      op.sin.row(t)[p] = static_cast<float>(::sin(angle));
    }
  });
}

void run(const Rope& op, const CpuContext& context) {
  with_element(op.x.dtype, [&](auto element) { rotate<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
