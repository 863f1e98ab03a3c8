#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(LIMO_NEON)
#include <arm_neon.h>
#endif

#include "core/tensor.h"

// Vectors of float32 for the instruction set this file is compiled for (LIMO_ISA, set by CMakeLists.txt):
// 16 lanes with AVX-512, 8 with AVX2, 4 with NEON and without any, where the compiler maps them to what the processor has.
namespace limo::LIMO_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t VecI __attribute__((vector_size(kLanes * 4)));
typedef uint32_t VecU __attribute__((vector_size(kLanes * 4)));
typedef uint16_t VecHalf __attribute__((vector_size(kLanes * 2)));

LIMO_INLINE Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

LIMO_INLINE void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }

// The first n (< kLanes) floats; the other lanes are zero.
LIMO_INLINE Vec load_partial(const float* p, int64_t n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#else
  Vec v = {};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * 4);
  return v;
#endif
}

LIMO_INLINE void store_partial(float* p, Vec v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#else
  __builtin_memcpy(p, &v, static_cast<size_t>(n) * 4);
#endif
}

// bfloat16: widened when loaded, which is exact, and rounded to the nearest (ties to even) when stored.

LIMO_INLINE Vec widen(VecHalf bits) { return (Vec)(__builtin_convertvector(bits, VecU) << 16); }

LIMO_INLINE VecHalf round_to_bf16(Vec v) {
#if defined(__AVX512BF16__)
  return (VecHalf)_mm512_cvtneps_pbh(v);  // a subnormal number becomes 0
#elif defined(LIMO_NEON) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  return (VecHalf)vcvt_bf16_f32(v);
#else
  const VecU bits = (VecU)v;
  const VecU rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const VecU quiet = (bits >> 16) | 0x40;
  return __builtin_convertvector(v == v ? rounded : quiet, VecHalf);
#endif
}

LIMO_INLINE VecHalf load_bits(const Bf16* p) {
  VecHalf bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return bits;
}

// The first n (≤ kLanes); the other lanes are zero.
LIMO_INLINE VecHalf load_bits_up_to(const Bf16* p, int64_t n) {
#if defined(__AVX512F__)
  return (VecHalf)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), p);
#else
  if (n == kLanes) return load_bits(p);
  VecHalf bits = {};
  __builtin_memcpy(&bits, p, static_cast<size_t>(n) * 2);
  return bits;
#endif
}

LIMO_INLINE Vec load(const Bf16* p) { return widen(load_bits(p)); }

LIMO_INLINE void store(Bf16* p, Vec v) {
  const VecHalf bits = round_to_bf16(v);
  __builtin_memcpy(p, &bits, sizeof bits);
}

LIMO_INLINE Vec load_partial(const Bf16* p, int64_t n) { return widen(load_bits_up_to(p, n)); }

LIMO_INLINE void store_partial(Bf16* p, Vec v, int64_t n) {
  const VecHalf bits = round_to_bf16(v);
#if defined(__AVX512F__)
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << n) - 1), (__m256i)bits);
#else
  __builtin_memcpy(p, &bits, static_cast<size_t>(n) * 2);
#endif
}

LIMO_INLINE Vec splat(float x) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(x);
#elif defined(__AVX__)
  return _mm256_set1_ps(x);
#elif defined(LIMO_NEON)
  return vdupq_n_f32(x);
#else
  Vec v;
  for (int i = 0; i < kLanes; ++i) v[i] = x;
  return v;
#endif
}

LIMO_INLINE float first_lane(Vec v) { return v[0]; }

LIMO_INLINE Vec maximum(Vec a, Vec b) { return a > b ? a : b; }

LIMO_INLINE Vec square_root(Vec v) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(v);
#elif defined(__AVX__)
  return _mm256_sqrt_ps(v);
#elif defined(LIMO_NEON)
  return vsqrtq_f32(v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// Sums the lanes, always in the same order: the upper half is added to the lower one until one is left.
LIMO_INLINE float reduce_add(Vec v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(v);
#elif defined(__AVX2__)
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#elif defined(LIMO_NEON)
  return vpadds_f32(vadd_f32(vget_low_f32(v), vget_high_f32(v)));
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
#endif
}

// Lane i is reduce_add(v[i]), bit for bit: each step halves all vectors together.
LIMO_INLINE Vec reduce_add_each(const Vec (&v)[kLanes]) {
#if defined(__AVX512F__)
  // The quarters of fours[u] are vectors 4t + u for t = 0 … 3, so that two more steps inside of quarters put them in order.
  Vec eights[8], fours[4];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const Vec a = v[8 * (i % 2) + i / 2], b = v[8 * (i % 2) + 4 + i / 2];
    eights[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  }
#pragma GCC unroll 4
  for (int u = 0; u < 4; ++u) {
    const Vec a = eights[2 * u], b = eights[2 * u + 1];
    fours[u] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  }
  const auto pair = [](Vec a, Vec b) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  };
  const Vec low = pair(fours[0], fours[1]), high = pair(fours[2], fours[3]);
  return _mm512_add_ps(_mm512_shuffle_ps(low, high, 0x88), _mm512_shuffle_ps(low, high, 0xdd));
#elif defined(__AVX2__)
  Vec fours[4];  // the halves of fours[u] are vectors u and 4 + u
#pragma GCC unroll 4
  for (int u = 0; u < 4; ++u) fours[u] = _mm256_add_ps(_mm256_permute2f128_ps(v[u], v[4 + u], 0x20), _mm256_permute2f128_ps(v[u], v[4 + u], 0x31));
  const auto pair = [](Vec a, Vec b) {
    const __m256d x = _mm256_castps_pd(a), y = _mm256_castps_pd(b);
    return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
  };
  const Vec low = pair(fours[0], fours[1]), high = pair(fours[2], fours[3]);
  return _mm256_add_ps(_mm256_shuffle_ps(low, high, 0x88), _mm256_shuffle_ps(low, high, 0xdd));
#elif defined(LIMO_NEON)
  const auto pair = [](Vec a, Vec b) {  // the upper half of each added to its lower one
    const float64x2_t x = vreinterpretq_f64_f32(a), y = vreinterpretq_f64_f32(b);
    return vaddq_f32(vreinterpretq_f32_f64(vtrn1q_f64(x, y)), vreinterpretq_f32_f64(vtrn2q_f64(x, y)));
  };
  return vpaddq_f32(pair(v[0], v[1]), pair(v[2], v[3]));
#else
  Vec sums;
  for (int i = 0; i < kLanes; ++i) sums[i] = reduce_add(v[i]);
  return sums;
#endif
}

LIMO_INLINE float reduce_max(Vec v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(v);
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
  return lanes[0];
#endif
}

// e^x: x = n·ln 2 + r with |r| ≤ ln(2)/2, then a polynomial of degree 7 in r (Cody and Waite's reduction, minimax
// coefficients as in Cephes' expf) times 2^n. Relative error below 2e-7 (about 1.5 units in the last place). Results that
// would be below the smallest normal number may be 0; above x = 88.3 the result is at least e^88.3. NaN gives NaN.
LIMO_INLINE Vec exponential(Vec x) {
  const Vec log2_e = splat(1.44269504088896341f);
#if defined(__AVX512F__)
  // Clamped so that infinities stay numbers in r; with NaN both give their second operand.
  x = _mm512_min_ps(splat(90.0f), _mm512_max_ps(splat(-105.0f), x));
  const Vec n = _mm512_roundscale_ps(x * log2_e, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  Vec clamped = splat(-87.3f) > x ? splat(-87.3f) : x;
  clamped = clamped > splat(88.3f) ? splat(88.3f) : clamped;
  const VecI underflow = x < splat(-87.3f);
  x = clamped;
  // Adding and subtracting 1.5·2^23 rounds to the nearest integer, whose bits are then in the low part of the sum.
  const Vec magic = splat(12582912.0f);
  const Vec shifted = x * log2_e + magic;
  const Vec n = shifted - magic;
#endif
  Vec r = x - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  Vec p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * (r * r) + r + splat(1.0f);
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p, n);  // p·2^n, 0 and infinity included
#else
  const VecI scale_bits = ((VecI)shifted + 127) << 23;
  return underflow ? Vec{} : p * (Vec)scale_bits;
#endif
}

// The first n floats or bfloat16s, n ≤ kLanes.
template <class T>
LIMO_INLINE Vec load_up_to(const T* p, int64_t n) {
  return n == kLanes ? load(p) : load_partial(p, n);
}

// Σ term(i, n) over vectors of n ≤ kLanes elements from i on: four running sums, so that the loop is not bound by the latency of
// one addition. term(i, n, sum) adds its vector to `sum`.
template <class Term>
LIMO_INLINE float sum_vectors(int64_t count, const Term& term) {
  Vec a = {}, b = {}, c = {}, d = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    a = term(i, kLanes, a);
    b = term(i + kLanes, kLanes, b);
    c = term(i + 2 * kLanes, kLanes, c);
    d = term(i + 3 * kLanes, kLanes, d);
  }
  for (; i < count; i += kLanes) a = term(i, count - i < kLanes ? count - i : kLanes, a);
  return reduce_add((a + b) + (c + d));
}

// Pairs of bfloat16, a pair in the bits of each lane, where the processor multiplies them.
#if defined(__AVX512BF16__) || (defined(LIMO_NEON) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC))
#define LIMO_PAIRS

// A pair in each lane: the first of it in the lower half of the bits.
LIMO_INLINE Vec interleave(VecHalf first, VecHalf second) {
  return (Vec)(__builtin_convertvector(first, VecU) | __builtin_convertvector(second, VecU) << 16);
}

// kLanes pairs, of which the first n (≤ 2·kLanes) numbers are read and the others are zero.
LIMO_INLINE Vec load_pairs(const void* p, int64_t n = 2 * kLanes) {
  if (n == 2 * kLanes) {
    Vec v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
#if defined(__AVX512BF16__)
  return (Vec)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((1ull << n) - 1), p);
#else
  Vec v = {};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * 2);
  return v;
#endif
}

LIMO_INLINE Vec splat_pair(const void* pair) {
  int32_t bits;
  __builtin_memcpy(&bits, pair, 4);
#if defined(__AVX512BF16__)
  return (Vec)_mm512_set1_epi32(bits);
#else
  return (Vec)vdupq_n_s32(bits);
#endif
}

// sum + the products of the firsts + those of the seconds, lane by lane, in float32.
LIMO_INLINE Vec multiply_pairs(Vec a, Vec b, Vec sum) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
#else
  return vbfdotq_f32(sum, (bfloat16x8_t)a, (bfloat16x8_t)b);
#endif
}
#endif

// Calls body(i, n) for columns [i, i + n): whole vectors first, with n = kLanes, then the rest with n < kLanes.
template <class WholeVector, class Remainder>
LIMO_INLINE void for_lanes(int64_t count, const WholeVector& whole, const Remainder& remainder) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) whole(i);
  if (i < count) remainder(i, count - i);
}

}  // namespace limo::LIMO_ISA
