#pragma once

#include "cuda/device.h"

// More words, for kernels compiled for sm_90a: mbarriers, TMA and wgmma.
#if defined(LIMO_CUDA_EMULATOR)

#include "cuda/emulator/hopper.h"

#else

#include <cuda.h>

#define LIMO_GRID_CONSTANT const __grid_constant__

namespace limo::cuda {

using TensorMap = CUtensorMap;

// A barrier is 8 bytes of shared memory, aligned to 8. Its phase ends when so many threads have arrived and the bytes that they
// announced are there; then its parity changes, first from 0 to 1.
LIMO_DEVICE void mbarrier_init(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

LIMO_DEVICE void mbarrier_arrive(uint32_t barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }

LIMO_DEVICE void mbarrier_arrive_expect_tx(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Waits until the phase of that parity has ended.
LIMO_DEVICE void mbarrier_wait(uint32_t barrier, int parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain_%=:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra ready_%=;\nbra "
      "again_%=;\nready_%=:\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Makes initialised barriers known to TMA.
LIMO_DEVICE void fence_mbarrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
// Makes this thread's stores to shared memory known to TMA and wgmma.
LIMO_DEVICE void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Starts to load the map's box at (x, y, z), x being the contiguous dimension; its bytes count for the barrier.
LIMO_DEVICE void tma_load_3d(uint32_t to, const TensorMap* map, uint32_t barrier, int x, int y, int z) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
               "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z)
               : "memory");
}

// Before the first product, and after any other access to the registers that products use.
LIMO_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
LIMO_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N>
LIMO_DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

// The operands %0 … %31 and %32 … %63, and what they stand for.
#define LIMO_OPERANDS_0_TO_31                                                                                           \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, " \
  "%25, %26, %27, %28, %29, %30, %31"
#define LIMO_OPERANDS_32_TO_63                                                                                               \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define LIMO_REGISTERS_8(d, i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define LIMO_REGISTERS_32(d, i) LIMO_REGISTERS_8(d, i), LIMO_REGISTERS_8(d, i + 8), LIMO_REGISTERS_8(d, i + 16), LIMO_REGISTERS_8(d, i + 24)

// d[64][N] = a[64][16] · b[16][N], or += where it accumulates, started only. A thread holds N/2 of the sums. An operand in
// shared memory is contiguous in k, or, transposed, in its other dimension.
template <int TransposeA, int TransposeB>
LIMO_DEVICE void wgmma_ss(float (&d)[32], uint64_t a, uint64_t b, int accumulate) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" LIMO_OPERANDS_0_TO_31
               "}, %32, %33, add, 1, 1, %35, %36;\n}"
               : LIMO_REGISTERS_32(d, 0)
               : "l"(a), "l"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));
}

template <int TransposeB>
LIMO_DEVICE void wgmma_rs(float (&d)[32], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" LIMO_OPERANDS_0_TO_31
               "}, {%32, %33, %34, %35}, %36, add, 1, 1, %38;\n}"
               : LIMO_REGISTERS_32(d, 0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(TransposeB));
}

template <int TransposeA, int TransposeB>
LIMO_DEVICE void wgmma_ss(float (&d)[64], uint64_t a, uint64_t b, int accumulate) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" LIMO_OPERANDS_0_TO_31
               ", " LIMO_OPERANDS_32_TO_63 "}, %64, %65, add, 1, 1, %67, %68;\n}"
               : LIMO_REGISTERS_32(d, 0), LIMO_REGISTERS_32(d, 32)
               : "l"(a), "l"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));
}

template <int TransposeB>
LIMO_DEVICE void wgmma_rs(float (&d)[64], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" LIMO_OPERANDS_0_TO_31
               ", " LIMO_OPERANDS_32_TO_63 "}, {%64, %65, %66, %67}, %68, add, 1, 1, %70;\n}"
               : LIMO_REGISTERS_32(d, 0), LIMO_REGISTERS_32(d, 32)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(TransposeB));
}

#undef LIMO_OPERANDS_0_TO_31
#undef LIMO_OPERANDS_32_TO_63
#undef LIMO_REGISTERS_8
#undef LIMO_REGISTERS_32

// Sets the number of registers per thread of a warpgroup (setmaxnreg); all of its threads call it.
template <int R>
LIMO_DEVICE void set_max_registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(R));
}
template <int R>
LIMO_DEVICE void set_max_registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(R));
}

// Barriers 1 … 15, each for so many threads, of whole warps; `arrive` does not wait.
LIMO_DEVICE void named_barrier_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
LIMO_DEVICE void named_barrier_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

}  // namespace limo::cuda

#endif

namespace limo::cuda {

// A tile in shared memory, swizzled over 128 bytes: rows of 128 bytes, eight of which are 1,024 bytes, aligned to as many.
// Contiguous in k: stride_bytes from eight rows to the next eight; leading_bytes is not used. Transposed: rows are k;
// stride_bytes from eight of k to the next eight, leading_bytes from 64 elements of the other dimension to the next 64.
LIMO_DEVICE uint64_t wgmma_descriptor(uint32_t address, uint32_t leading_bytes, uint32_t stride_bytes) {
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | static_cast<uint64_t>(leading_bytes >> 4) << 16 |
         static_cast<uint64_t>(stride_bytes >> 4) << 32 | uint64_t{1} << 62;
}

}  // namespace limo::cuda
