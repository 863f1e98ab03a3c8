#pragma once

#include <cstdlib>

#include "cuda/hopper.h"
#include "cuda/runtime.h"

// Mistakes in the attention kernels for sm_90a, made by giving a word another meaning: LIMO_ATTENTION_FAULT in the environment says
// which, and with any of them the test must fail. Included before the kernels.
namespace limo::cuda {

enum class Fault {
  kNone,
  kScoresReadEarly,       // and their keys' stage is released before the product has ended
  kStageLoadedEarly,      // while products read it
  kStageFullForever,      // the second time around the ring, because it was the first time
  kZerosNotFenced,        // products read rows from before they were zeroed
  kRegistersNotFenced,    // those of a product that has not started are read by the next one
  kZeroedWhileMultiplied  // a warp zeroes rows that others have begun to multiply
};

inline Fault planted_fault() {
  static const Fault fault = static_cast<Fault>(std::getenv("LIMO_ATTENTION_FAULT") ? std::atoi(std::getenv("LIMO_ATTENTION_FAULT")) : 0);
  return fault;
}

constexpr int kLoadingThreads = 128;  // the first warpgroup loads, the others compute

template <int N>
LIMO_DEVICE void faulty_wgmma_wait() {
  if (planted_fault() != Fault::kScoresReadEarly || N != 1) wgmma_wait<N>();
}

LIMO_DEVICE void faulty_mbarrier_wait(uint32_t barrier, int parity) {
  const bool loads = threadIdx.x < kLoadingThreads;
  if (planted_fault() == Fault::kStageLoadedEarly && loads) return;
  mbarrier_wait(barrier, planted_fault() == Fault::kStageFullForever && !loads ? 0 : parity);
}

LIMO_DEVICE void faulty_fence_proxy_async() {
  if (planted_fault() != Fault::kZerosNotFenced) fence_proxy_async();
}

LIMO_DEVICE void faulty_wgmma_fence() {
  if (planted_fault() != Fault::kRegistersNotFenced) wgmma_fence();
}

LIMO_DEVICE void faulty_named_barrier_sync(int id, int threads) {
  if (planted_fault() != Fault::kZeroedWhileMultiplied || threads != 128) named_barrier_sync(id, threads);
}

}  // namespace limo::cuda

#define wgmma_wait faulty_wgmma_wait
#define mbarrier_wait faulty_mbarrier_wait
#define fence_proxy_async faulty_fence_proxy_async
#define wgmma_fence faulty_wgmma_fence
#define named_barrier_sync faulty_named_barrier_sync
