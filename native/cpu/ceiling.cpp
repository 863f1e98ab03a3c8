#include "cpu/amx.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {

// Independent sums: two FMA units with a latency of four need eight at least; all of them fit in the registers.
#if defined(__AVX512F__) || defined(LIMO_NEON)
constexpr int kSums = 24;
#elif defined(__AVX2__)
constexpr int kSums = 12;
#else
constexpr int kSums = 12;
#endif

// Multiply-adds on registers alone, as fast as this instruction set goes; returns how many floating-point operations that
// were. `sink` keeps the compiler from leaving them out.
double run_multiply_adds(int64_t iterations, float* sink) {
  Vec sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = splat(static_cast<float>(i));
  const Vec factor = splat(*sink), addend = splat(1e-9f);
  for (int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * factor + addend;
  }
  Vec total = {};
  for (int i = 0; i < kSums; ++i) total += sums[i];
  *sink = reduce_add(total);
  return 2.0 * kSums * kLanes * static_cast<double>(iterations);
}

// The same with products of bfloat16 summed in float32.
double run_bf16_multiply_adds(int64_t iterations, float* sink) {
#if defined(__AMX_BF16__)
  AmxTiles tiles;
  tiles.set_rows(kAmxRows, kAmxRows);
  _tile_zero(4);
  _tile_zero(6);
  for (int64_t n = 0; n < iterations; ++n) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 6);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 4, 6);
  }
  *sink = 0;
  return 4.0 * 2 * kAmxRows * kLanes * kAmxUnits * 2 * static_cast<double>(iterations);
#elif defined(LIMO_PAIRS)
  Vec sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = splat(static_cast<float>(i));
  const Vec factor = interleave(round_to_bf16(splat(*sink)), round_to_bf16(splat(-*sink)));
  for (int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) sums[i] = multiply_pairs(factor, factor, sums[i]);
  }
  Vec total = {};
  for (int i = 0; i < kSums; ++i) total += sums[i];
  *sink = reduce_add(total);
  return 4.0 * kSums * kLanes * static_cast<double>(iterations);
#else
  return run_multiply_adds(iterations, sink);
#endif
}

// z ← z/2 + x for n floats: two reads and a write, the traffic of an optimizer.
void run_update(float* z, const float* x, int64_t n) {
  const Vec half = splat(0.5f);
  for_lanes(
      n, [&](int64_t i) { store(z + i, load(z + i) * half + load(x + i)); },
      [&](int64_t i, int64_t rest) { store_partial(z + i, load_partial(z + i, rest) * half + load_partial(x + i, rest), rest); });
}

// The sum of n floats, eight vectors at a time; all that it costs is reading them.
float run_read(const float* x, int64_t n) {
  Vec sums[8] = {};
  for (int64_t i = 0; i + 8 * kLanes <= n; i += 8 * kLanes) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sums[j] += load(x + i + j * kLanes);
  }
  Vec total = {};
  for (const Vec& sum : sums) total += sum;
  return reduce_add(total);
}

}  // namespace limo::LIMO_ISA
