#pragma once

#include <cstdint>

#include "core/tensor.h"

// The words that kernels are written in. nvcc makes instructions of them; g++ calls an emulator (cuda/emulator/), so that the
// same sources run, and are tested, where there is no device. Shared memory is dynamic only; collectives are for full warps.
#if defined(LIMO_CUDA_EMULATOR)

#include "cuda/emulator/device.h"

namespace limo::cuda {

LIMO_DEVICE uint32_t pack_bf16(float low, float high) { return bf16_bits(low) | bf16_bits(high) << 16; }
LIMO_DEVICE Bf16 to_bf16(float value) { return {static_cast<uint16_t>(bf16_bits(value))}; }

}  // namespace limo::cuda

#else

#include <cuda_runtime.h>

#define LIMO_DEVICE __device__ __forceinline__
#define LIMO_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]

namespace limo::cuda {

LIMO_DEVICE uint32_t shared_address(const void* pointer) { return static_cast<uint32_t>(__cvta_generic_to_shared(pointer)); }

// Copies 16 bytes from global to shared memory, both aligned to 16; zeros where not valid, and `from` is not read then.
LIMO_DEVICE void cp_async_16(uint32_t to, const void* from, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

LIMO_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most N of this thread's groups are in flight. Copies of other threads are visible only after a barrier.
template <int N>
LIMO_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four 8 × 8 matrices of 16 bits; lanes 8m … 8m + 7 give the addresses of the rows of matrix m.
LIMO_DEVICE void ldmatrix_x4(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

LIMO_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// d[16][8] += a[16][16] · b[16][8]
LIMO_DEVICE void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

LIMO_DEVICE uint32_t pack_bf16(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

LIMO_DEVICE Bf16 to_bf16(float value) {
  Bf16 rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(value));
  return rounded;
}

LIMO_DEVICE float exp2_approximate(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

}  // namespace limo::cuda

#endif

namespace limo::cuda {

LIMO_DEVICE float to_float(Bf16 value) { return __uint_as_float(static_cast<uint32_t>(value.bits) << 16); }

}  // namespace limo::cuda
