#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/emulator/block.h"
#include "cuda/emulator/vector_types.h"
#include "cuda/emulator/warp_words.h"

// The words of cuda/device.h where there is no nvcc: a kernel is a function that g++ compiles, and every one of its threads
// runs on a stack of its own.

#define __global__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define LIMO_DEVICE inline __attribute__((always_inline))
#define LIMO_DYNAMIC_SHARED(name) unsigned char* name = ::limo::cuda::emulator::current_fiber->block->shared

#define threadIdx (::limo::cuda::emulator::current_fiber->index)
#define blockIdx (::limo::cuda::emulator::current_fiber->block->index)
#define blockDim (::limo::cuda::emulator::current_fiber->block->size)
#define gridDim (::limo::cuda::emulator::current_fiber->block->grid)

inline void __syncthreads() { limo::cuda::emulator::sync_block(); }
[[gnu::always_inline]] inline void __syncwarp(unsigned mask = ~0u) {
  using namespace limo::cuda::emulator;
  collectively(Collective::kSyncWarp, mask, nullptr, sync_lanes);
}

template <class T>
[[gnu::always_inline]] inline T __shfl_sync(unsigned mask, T value, int source_lane) {
  using namespace limo::cuda::emulator;
  static_assert(sizeof(T) == 4);
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  Shuffle own = {bits, source_lane, &bits};
  collectively(Collective::kShuffle, mask, &own, shuffle_lanes);
  std::memcpy(&value, &bits, 4);
  return value;
}

template <class T>
[[gnu::always_inline]] inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask) {
  return __shfl_sync(mask, value, limo::cuda::emulator::current_fiber->lane ^ lane_mask);
}

// Blocks run on several threads of the system.
inline unsigned atomicAdd(unsigned* address, unsigned value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

namespace limo::cuda {

LIMO_DEVICE uint32_t shared_address(const void* pointer) { return emulator::address_in_shared(pointer); }

LIMO_DEVICE void cp_async_16(uint32_t to, const void* from, bool valid) { emulator::issue_async_copy(to, from, valid); }
LIMO_DEVICE void cp_async_commit() { emulator::commit_async_copies(); }
template <int N>
LIMO_DEVICE void cp_async_wait() {
  emulator::wait_for_async_copies(N);
}

LIMO_DEVICE void ldmatrix_x4(uint32_t (&r)[4], uint32_t address) {
  emulator::MatrixLoad own = {address, r};
  emulator::collectively(emulator::Collective::kLoadMatrix, emulator::kAllLanes, &own, emulator::load_matrices);
}

LIMO_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address) {
  emulator::MatrixLoad own = {address, r};
  emulator::collectively(emulator::Collective::kLoadTransposed, emulator::kAllLanes, &own, emulator::load_transposed_matrices);
}

LIMO_DEVICE void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  emulator::MultiplyAdd own = {d, a, {b0, b1}};
  emulator::collectively(emulator::Collective::kMma, emulator::kAllLanes, &own, emulator::multiply_add_fragments);
}

// Rounding of cvt.rn.bf16.f32: to nearest even, every NaN to the same one.
LIMO_DEVICE uint32_t bf16_bits(float value) {
  const uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// 2^x with the error of ex2.approx.ftz, about 2⁻²²; subnormal results are flushed to 0.
LIMO_DEVICE float exp2_approximate(float x) {
  if (!(x >= -126.0f)) return x != x ? x : 0.0f;
  if (x >= 128.0f) return INFINITY;
  const float whole = nearbyintf(x), f = x - whole;
  // The Taylor series of 2^f: coefficients (ln 2)^k / k!, |f| ≤ 1/2.
  float power = 1.5252734e-5f;
  power = power * f + 1.5403530e-4f;
  power = power * f + 1.3333558e-3f;
  power = power * f + 9.6181291e-3f;
  power = power * f + 5.5504109e-2f;
  power = power * f + 2.4022651e-1f;
  power = power * f + 6.9314718e-1f;
  power = power * f + 1.0f;
  // In two factors, since 2^128 is no float32.
  return power * __uint_as_float(static_cast<unsigned>(static_cast<int>(whole) - 1 + 127) << 23) * 2.0f;
}

}  // namespace limo::cuda
