#pragma once

#include "cuda/hopper.h"
#include "cuda/runtime.h"

// Mistakes in the attention kernels for sm_90a, one of which LIMO_ATTENTION_FAULT plants by giving a word another meaning: built with it,
// the test must fail. Included before the kernels.
namespace limo::cuda {

constexpr int kLoadingThreads = 128;  // the first warpgroup loads, the others compute

#if !defined(LIMO_ATTENTION_FAULT)

#elif LIMO_ATTENTION_FAULT == 1  // scores are read, and their keys' stage is released, before the product has ended
template <int N>
LIMO_DEVICE void faulty_wgmma_wait() {
  if (N != 1) wgmma_wait<N>();
}
#define wgmma_wait faulty_wgmma_wait

#elif LIMO_ATTENTION_FAULT == 2  // a stage is loaded again while products read it
LIMO_DEVICE void faulty_mbarrier_wait(uint32_t barrier, int parity) {
  if (threadIdx.x >= kLoadingThreads) mbarrier_wait(barrier, parity);
}
#define mbarrier_wait faulty_mbarrier_wait

#elif LIMO_ATTENTION_FAULT == 3  // the second time around the ring, a stage counts as full because it was the first time
LIMO_DEVICE void faulty_mbarrier_wait(uint32_t barrier, int parity) {
  mbarrier_wait(barrier, threadIdx.x >= kLoadingThreads ? 0 : parity);
}
#define mbarrier_wait faulty_mbarrier_wait

#elif LIMO_ATTENTION_FAULT == 4  // products read rows from before they were zeroed
LIMO_DEVICE void faulty_fence_proxy_async() {}
#define fence_proxy_async faulty_fence_proxy_async

#elif LIMO_ATTENTION_FAULT == 5  // registers of a product that has not started are read by the next one
LIMO_DEVICE void faulty_wgmma_fence() {}
#define wgmma_fence faulty_wgmma_fence

#elif LIMO_ATTENTION_FAULT == 6  // a warp zeroes rows that others have begun to multiply
LIMO_DEVICE void faulty_named_barrier_sync(int id, int threads) {
  if (threads != 128) named_barrier_sync(id, threads);
}
#define named_barrier_sync faulty_named_barrier_sync

#else
#error "expected LIMO_ATTENTION_FAULT from 1 to 6"
#endif

}  // namespace limo::cuda
