#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/swiglu.h"

namespace limo::cuda {
namespace {

LIMO_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <class T, int N>
struct SwigluRows {
  using Index = uint32_t;
  T* out;
  const T *gate, *up;
  int64_t out_stride, gate_stride, up_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / packs_per_row, column = i % packs_per_row * N;
    float g[N], u[N];
    load<N>(g, gate + row * gate_stride + column);
    load<N>(u, up + row * up_stride + column);
#pragma unroll
    for (int j = 0; j < N; ++j) g[j] = g[j] * sigmoid(g[j]) * u[j];
    store<N>(out + row * out_stride + column, g);
  }
};

template <class T, int N>
struct SwigluRowsBackward {
  using Index = uint32_t;
  T *d_gate, *d_up;
  const T *d_out, *gate, *up;
  int64_t d_gate_stride, d_up_stride, d_out_stride, gate_stride, up_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / packs_per_row, column = i % packs_per_row * N;
    float g[N], u[N], d[N];
    load<N>(g, gate + row * gate_stride + column);
    load<N>(u, up + row * up_stride + column);
    load<N>(d, d_out + row * d_out_stride + column);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float s = sigmoid(g[j]), d_silu = d[j] * u[j] * s * (1.0f + g[j] * (1.0f - s));
      u[j] = d[j] * g[j] * s;
      g[j] = d_silu;
    }
    store<N>(d_up + row * d_up_stride + column, u);
    store<N>(d_gate + row * d_gate_stride + column, g);
  }
};

}  // namespace

template <>
size_t check_limits(const Swiglu& op, const CudaContext&) {
  check_packs(op.out, takes_packs(op.out) && takes_packs(op.gate) && takes_packs(op.up));
  return 0;
}

template <>
size_t check_limits(const SwigluBackward& op, const CudaContext&) {
  check_packs(op.d_out, takes_packs(op.d_gate) && takes_packs(op.d_up) && takes_packs(op.d_out) && takes_packs(op.gate) && takes_packs(op.up));
  return 0;
}

void run(const Swiglu& op, CudaContext& context) {
  with_pack(op.out.dtype, takes_packs(op.out) && takes_packs(op.gate) && takes_packs(op.up), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = op.out.cols / N;
    for_each(context, op.out.rows * packs,
             SwigluRows<T, N>{op.out.row<T>(0), op.gate.row<T>(0), op.up.row<T>(0), op.out.row_stride, op.gate.row_stride, op.up.row_stride,
                              static_cast<uint32_t>(packs)});
  });
}

void run(const SwigluBackward& op, CudaContext& context) {
  const bool packs_fit = takes_packs(op.d_gate) && takes_packs(op.d_up) && takes_packs(op.d_out) && takes_packs(op.gate) && takes_packs(op.up);
  with_pack(op.d_out.dtype, packs_fit, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = op.d_out.cols / N;
    for_each(context, op.d_out.rows * packs,
             SwigluRowsBackward<T, N>{op.d_gate.row<T>(0), op.d_up.row<T>(0), op.d_out.row<T>(0), op.gate.row<T>(0), op.up.row<T>(0),
                                      op.d_gate.row_stride, op.d_up.row_stride, op.d_out.row_stride, op.gate.row_stride, op.up.row_stride,
                                      static_cast<uint32_t>(packs)});
  });
}

}  // namespace limo::cuda
