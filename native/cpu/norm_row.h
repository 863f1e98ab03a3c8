#pragma once

#include "cpu/simd.h"

// One row of RMS norm, forward and backward: rms_norm runs it over the hidden size, head_norm over a head.
namespace limo::LIMO_ISA {

// Σ x²
template <class T>
LIMO_INLINE float sum_of_squares(const T* x, int64_t n) {
  return sum_vectors(n, [&](int64_t i, int64_t count, Vec sum) {
    const Vec v = load_up_to(x + i, count);
    return v * v + sum;
  });
}

// out = x · rstd · weight; returns rstd.
template <class T>
LIMO_INLINE float norm_row(T* out, const T* x, const T* weight, int64_t n, float eps) {
  const float rstd = 1.0f / __builtin_sqrtf(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  const Vec scale = splat(rstd);
  for_lanes(
      n, [&](int64_t i) { store(out + i, load(x + i) * scale * load(weight + i)); },
      [&](int64_t i, int64_t rest) {
        store_partial(out + i, load_partial(x + i, rest) * scale * load_partial(weight + i, rest), rest);
      });
  return rstd;
}

// sums += d_out · x · rstd, a row's part in the gradient of the weight.
template <class T>
LIMO_INLINE void add_weight_gradient(float* sums, const T* d_out, const T* x, float rstd, int64_t n) {
  for_lanes(
      n, [&](int64_t i) { store(sums + i, load(d_out + i) * (load(x + i) * splat(rstd)) + load(sums + i)); },
      [&](int64_t i, int64_t rest) {
        const Vec term = load_partial(d_out + i, rest) * (load_partial(x + i, rest) * splat(rstd));
        store_partial(sums + i, term + load_partial(sums + i, rest), rest);
      });
}

template <class T>
struct NormRowBackward {
  T* d_x;
  const T* d_out;
  const T* d_sum;  // may be null
  const T* x;
  const T* weight;
  float rstd;
};

// d_x = rstd·(d_out·weight − x·rstd·mean(d_out·weight·x·rstd)) + d_sum
template <class T>
LIMO_INLINE void norm_row_backward(const NormRowBackward<T>& r, int64_t n) {
  const float dot = sum_vectors(n, [&](int64_t i, int64_t count, Vec sum) {
    return load_up_to(r.d_out + i, count) * load_up_to(r.weight + i, count) * load_up_to(r.x + i, count) + sum;
  });
  const Vec rstd = splat(r.rstd);
  const Vec pull = splat(r.rstd * r.rstd * r.rstd * dot / static_cast<float>(n));
  for_lanes(
      n,
      [&](int64_t i) {
        const Vec d = load(r.d_out + i) * load(r.weight + i) * rstd - load(r.x + i) * pull;
        store(r.d_x + i, r.d_sum ? d + load(r.d_sum + i) : d);
      },
      [&](int64_t i, int64_t rest) {
        const Vec d = load_partial(r.d_out + i, rest) * load_partial(r.weight + i, rest) * rstd - load_partial(r.x + i, rest) * pull;
        store_partial(r.d_x + i, r.d_sum ? d + load_partial(r.d_sum + i, rest) : d, rest);
      });
}

}  // namespace limo::LIMO_ISA
