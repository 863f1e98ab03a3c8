#pragma once

#include <cstdint>

#include "cuda/emulator/device.h"
#include "cuda/emulator/swizzle.h"
#include "cuda/emulator/tensor_map.h"

#define LIMO_GRID_CONSTANT const

// The words of cuda/hopper.h where there is no nvcc.
namespace limo::cuda {

LIMO_DEVICE void mbarrier_init(uint32_t barrier, int arrivals) { emulator::initialize_mbarrier(barrier, arrivals); }
LIMO_DEVICE void mbarrier_arrive(uint32_t barrier) { emulator::arrive_at_mbarrier(barrier, 0); }
LIMO_DEVICE void mbarrier_arrive_expect_tx(uint32_t barrier, int bytes) { emulator::arrive_at_mbarrier(barrier, bytes); }
LIMO_DEVICE void mbarrier_wait(uint32_t barrier, int parity) { emulator::wait_for_mbarrier(barrier, parity); }
LIMO_DEVICE void fence_mbarrier_init() {}
LIMO_DEVICE void fence_proxy_async() { emulator::fence_async_proxy(); }

LIMO_DEVICE void tma_load_3d(uint32_t to, const TensorMap* map, uint32_t barrier, int x, int y, int z) {
  emulator::issue_tma_load(to, *map, barrier, x, y, z);
}

LIMO_DEVICE void wgmma_fence() { emulator::fence_wgmma(); }
LIMO_DEVICE void wgmma_commit() { emulator::commit_wgmma(); }
template <int N>
LIMO_DEVICE void wgmma_wait() {
  emulator::wait_for_wgmma(N);
}

template <int TransposeA, int TransposeB, int R>
LIMO_DEVICE void wgmma_ss(float (&d)[R], uint64_t a, uint64_t b, int accumulate) {
  emulator::WgmmaProduct product;
  product.transpose_a = TransposeA != 0;
  product.transpose_b = TransposeB != 0;
  product.accumulate = accumulate != 0;
  product.columns = 2 * R;
  product.a_descriptor = a;
  product.b_descriptor = b;
  emulator::issue_wgmma(product, d, nullptr);
}

// `a` must live, unchanged, until the wait: that is when it is read.
template <int TransposeB, int R>
LIMO_DEVICE void wgmma_rs(float (&d)[R], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  emulator::WgmmaProduct product;
  product.a_in_registers = true;
  product.transpose_b = TransposeB != 0;
  product.accumulate = accumulate != 0;
  product.columns = 2 * R;
  product.b_descriptor = b;
  emulator::issue_wgmma(product, d, a);
}

template <int R>
LIMO_DEVICE void set_max_registers_up() {
  static_assert(R % 8 == 0 && R >= 24 && R <= 256);
}
template <int R>
LIMO_DEVICE void set_max_registers_down() {
  static_assert(R % 8 == 0 && R >= 24 && R <= 256);
}

LIMO_DEVICE void named_barrier_sync(int id, int threads) { emulator::sync_named_barrier(id, threads); }
LIMO_DEVICE void named_barrier_arrive(int id, int threads) { emulator::arrive_at_named_barrier(id, threads); }

}  // namespace limo::cuda
