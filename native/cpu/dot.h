#pragma once

#include "cpu/tile.h"

// Dot products of rows that are contiguous in k, for generation, where few rows of x meet many rows of weights or keys. Each is summed in
// the order of k alone: it does not depend on the rows beside it.
namespace limo::LIMO_ISA {

// Element type that rows of x are read as: bfloat16 where the processor multiplies pairs of it, else float32, so that x is widened once and
// not for each row of the weights.
template <class T>
using Factor = std::conditional_t<std::is_same_v<Unit<T>, Pair>, T, float>;

// Numbers that one step of a dot product takes, and the step: sum + Σ x·w, lane by lane.
template <class T>
constexpr int64_t kStep = kLanes * kPerUnit<Unit<T>>;
#if defined(LIMO_PAIRS)
LIMO_INLINE Vec multiply_step(const Bf16* x, const Bf16* w, int64_t n, Vec sum) { return multiply_pairs(load_pairs(x, n), load_pairs(w, n), sum); }
#else
LIMO_INLINE Vec multiply_step(const float* x, const Bf16* w, int64_t n, Vec sum) { return load_up_to(x, n) * load_up_to(w, n) + sum; }
#endif
LIMO_INLINE Vec multiply_step(const float* x, const float* w, int64_t n, Vec sum) { return load_up_to(x, n) * load_up_to(w, n) + sum; }

// Rows of k numbers of x as factors: where they lie, or widened into `room` [rows, k].
template <class T>
struct Factors {
  const Factor<T>* first;
  int64_t stride;
};
template <class T>
LIMO_INLINE Factors<T> factors_of(const T* x, int64_t stride, int64_t rows, int64_t k, float* room) {
  if constexpr (std::is_same_v<Factor<T>, T>) return {x, stride};
  else {
    for (int64_t row = 0; row < rows; ++row)
      for_lanes(
          k, [&](int64_t i) { store(room + row * k + i, load(x + row * stride + i)); },
          [&](int64_t i, int64_t n) { store_partial(room + row * k + i, load_partial(x + row * stride + i, n), n); });
    return {room, k};
  }
}

}  // namespace limo::LIMO_ISA
