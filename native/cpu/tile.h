#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/simd.h"

// Units and register tiles of this instruction set's matrix product. A unit has 32 bits: a float32, or a pair of bfloat16.
namespace limo::LIMO_ISA {

// Two bfloat16 factors of neighbouring k, which some processors multiply and add in one instruction (vdpbf16ps, bfdot).
struct Pair {
  Bf16 first, second;
};

// The unit that factors of type T become. Where there is no instruction for pairs, bfloat16 is widened to float32 by packing.
#if defined(LIMO_PAIRS)
template <class T>
using Unit = std::conditional_t<std::is_same_v<T, Bf16>, Pair, float>;
#else
template <class T>
using Unit = float;
#endif

// Numbers that a unit holds.
template <class U>
constexpr int64_t kPerUnit = std::is_same_v<U, Pair> ? 2 : 1;

// Units of k that are multiplied by one instruction: AMX takes 16 of a row.
#if defined(__AMX_BF16__)
template <class U>
constexpr int64_t kUnitsTogether = std::is_same_v<U, Pair> ? 16 : 1;
#else
template <class U>
constexpr int64_t kUnitsTogether = 1;
#endif

// Units of k numbers, the last ones padded with zeros.
template <class U>
LIMO_INLINE int64_t units_of(int64_t k) {
  constexpr int64_t kTogether = kPerUnit<U> * kUnitsTogether<U>;
  return (k + kTogether - 1) / kTogether * kUnitsTogether<U>;
}

// Register tile: kRows × kVectors accumulators; a vector of B for each column and one broadcast of A must fit in the
// registers beside them: 8·3 + 3 + 1 of 32 (AVX-512, NEON), 6·2 + 2 + 1 of 16 (AVX2), 4·2 + 2 + 1 of 16. Products of pairs have
// twice the arithmetic for the same loads: 14·2 + 2 of 32 with AVX-512, A from memory. AMX has registers of its own.
template <class U>
struct Tile {
#if defined(__AVX512F__) || defined(LIMO_NEON)
  static constexpr int kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
  static constexpr int kRows = 6, kVectors = 2;
#else
  static constexpr int kRows = 4, kVectors = 2;
#endif
};
template <>
struct Tile<Pair> {
#if defined(__AMX_BF16__)
  static constexpr int kRows = 32, kVectors = 2;
#elif defined(LIMO_NEON)
  static constexpr int kRows = 8, kVectors = 3;
#else
  static constexpr int kRows = 14, kVectors = 2;
#endif
};
template <class U>
constexpr int64_t kTileCols = Tile<U>::kVectors * kLanes;

LIMO_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LIMO_INLINE int64_t blocks_of(int64_t total, int64_t block) { return (total + block - 1) / block; }
// Size of the next piece when `left` is cut into the fewest pieces of at most `most`, all of about the same size.
LIMO_INLINE int64_t even_piece(int64_t left, int64_t most) { return blocks_of(left, blocks_of(left, most)); }

// Columns of the next panel when `left` are left, in whole vectors. Panels of one vector are load-bound, so columns are split evenly: with
// 16 lanes 64 columns are 2 + 2 vectors, not 3 + 1.
template <class U>
LIMO_INLINE int64_t panel_width(int64_t left) {
  return even_piece(blocks_of(left, kLanes), Tile<U>::kVectors) * kLanes;
}

// Vector operations of the micro-kernel on one vector of units.
LIMO_INLINE Vec load_units(const float* p) { return load(p); }
LIMO_INLINE Vec multiply_add(const float* a, Vec b, Vec sum) { return splat(*a) * b + sum; }
#if defined(LIMO_PAIRS)
LIMO_INLINE Vec load_units(const Pair* p) { return load_pairs(p); }
LIMO_INLINE Vec multiply_add(const Pair* a, Vec b, Vec sum) { return multiply_pairs(splat_pair(a), b, sum); }
#endif

LIMO_INLINE void store_units(float* p, Vec v) { store(p, v); }
LIMO_INLINE void store_units(Pair* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }

}  // namespace limo::LIMO_ISA
