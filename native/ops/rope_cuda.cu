#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/rope.h"

namespace limo::cuda {
namespace {

struct RotaryAngles {
  using Index = uint32_t;
  float *cos, *sin;
  const int32_t* positions;
  const float* inverse_frequency;
  int64_t cos_stride, sin_stride;
  uint32_t pairs;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / pairs, pair = i % pairs;
    // Angles in double: see rope.h.
    const double angle = static_cast<double>(positions[row]) * inverse_frequency[pair];
    cos[row * cos_stride + pair] = static_cast<float>(::cos(angle));
    sin[row * sin_stride + pair] = static_cast<float>(::sin(angle));
  }
};

// A thread turns N pairs of one head.
template <class T, int N>
struct RotateHeads {
  using Index = uint32_t;
  T* out;
  const T* x;
  const float *cos, *sin;
  int64_t out_stride, x_stride, cos_stride, sin_stride;
  uint32_t heads, pairs;
  float direction;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t packs = pairs / N, pair = i % packs * N, head = i / packs % heads, row = i / packs / heads;
    const int64_t at = static_cast<int64_t>(head) * 2 * pairs + pair;
    float a[N], b[N], c[N], s[N];
    load<N>(a, x + row * x_stride + at);
    load<N>(b, x + row * x_stride + at + pairs);
    load<N>(c, cos + row * cos_stride + pair);
    load<N>(s, sin + row * sin_stride + pair);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float turned = a[j] * c[j] - b[j] * (direction * s[j]);
      b[j] = b[j] * c[j] + a[j] * (direction * s[j]);
      a[j] = turned;
    }
    store<N>(out + row * out_stride + at, a);
    store<N>(out + row * out_stride + at + pairs, b);
  }
};

}  // namespace

template <>
size_t check_limits(const RotaryTable& op, const CudaContext&) {
  check_packs(op.cos, false);
  return 0;
}

template <>
size_t check_limits(const Rope& op, const CudaContext&) {
  check_packs(op.x, false);
  return 0;
}

void run(const RotaryTable& op, CudaContext& context) {
  for_each(context, op.cos.rows * op.cos.cols,
           RotaryAngles{op.cos.f32(), op.sin.f32(), op.positions.i32(), op.inverse_frequency.f32(), op.cos.row_stride, op.sin.row_stride,
                        static_cast<uint32_t>(op.cos.cols)});
}

void run(const Rope& op, CudaContext& context) {
  const int64_t pairs = op.cos.cols;
  const bool packs_fit = pairs % kPackSize == 0 && takes_packs(op.out) && takes_packs(op.x) && takes_packs(op.cos) && takes_packs(op.sin);
  with_pack(op.x.dtype, packs_fit, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    for_each(context, op.x.rows * op.x.cols / (2 * N),
             RotateHeads<T, N>{op.out.row<T>(0), op.x.row<T>(0), op.cos.f32(), op.sin.f32(), op.out.row_stride, op.x.row_stride, op.cos.row_stride,
                               op.sin.row_stride, static_cast<uint32_t>(op.x.cols / (2 * pairs)), static_cast<uint32_t>(pairs),
                               static_cast<float>(op.direction)});
  });
}

}  // namespace limo::cuda
