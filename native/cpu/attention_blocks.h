#pragma once

#include "cpu/gemm.h"
#include "ops/attention.h"

// Blocking of attention, shared by the forward and the backward pass: blocks of queries, blocks of keys.
namespace limo::LIMO_ISA {

// A block of scores (64 × 144 floats, 36 KB) stays in L1 and L2 between its products, and is whole register tiles.
template <class U>
struct Blocks {
  static constexpr int64_t kQueries = 64, kKeys = 144;
};
template <>
struct Blocks<Pair> {
#if defined(__AMX_BF16__)
  static constexpr int64_t kQueries = 64, kKeys = 128;
#elif defined(LIMO_NEON)
  static constexpr int64_t kQueries = 64, kKeys = 144;
#else
  static constexpr int64_t kQueries = 70, kKeys = 128;
#endif
};
constexpr int64_t kMostQueries = 70, kMostKeys = 144;
constexpr int64_t kMostColumns = kMaxHeadDim + kLanes;

// Consecutive rows of one sequence.
struct RowBlock {
  int64_t sequence, sequence_start, sequence_end, first, rows;
};

// The block of `size` rows with that number; blocks count through the sequences in order.
LIMO_INLINE RowBlock row_block(const Tensor& cu_seqlens, int64_t size, int64_t number) {
  const int32_t* starts = cu_seqlens.i32();
  for (int64_t s = 0; s + 1 < cu_seqlens.rows; ++s) {
    const int64_t blocks = blocks_of(starts[s + 1] - starts[s], size);
    if (number < blocks) {
      const int64_t first = starts[s] + number * size;
      return {s, starts[s], starts[s + 1], first, smaller(size, starts[s + 1] - first)};
    }
    number -= blocks;
  }
  return {};
}

LIMO_INLINE int64_t count_blocks(const Tensor& cu_seqlens, int64_t size) {
  const int32_t* starts = cu_seqlens.i32();
  int64_t blocks = 0;
  for (int64_t s = 0; s + 1 < cu_seqlens.rows; ++s) blocks += blocks_of(starts[s + 1] - starts[s], size);
  return blocks;
}

// Causal mask: keeps the lanes of `v` whose position i, i + 1, … is below `visible`; the others are 0.
LIMO_INLINE Vec visible_lanes(Vec v, int64_t i, int64_t visible) {
#if defined(__AVX512F__)
  return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << (visible - i)) - 1), v);
#else
  for (int64_t lane = visible - i; lane < kLanes; ++lane) v[lane] = 0;
  return v;
#endif
}

// to = from · factor
template <class T>
LIMO_INLINE void store_scaled(T* to, const float* from, int64_t n, float factor) {
  for_lanes(
      n, [&](int64_t i) { store(to + i, load(from + i) * splat(factor)); },
      [&](int64_t i, int64_t rest) { store_partial(to + i, load_partial(from + i, rest) * splat(factor), rest); });
}

}  // namespace limo::LIMO_ISA
