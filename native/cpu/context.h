#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "runtime/thread_pool.h"

namespace limo {

// Working memory of one thread, enough for the packed blocks of a matrix product or of attention.
// lib/native/device.ts has the same number, so that a plan is exact on a machine without the addon.
constexpr int64_t kScratchBytesPerThread = 6 << 20;
// The part for matrix products, from its start.
constexpr int64_t kScratchForProducts = kScratchBytesPerThread - (16 << 10);

// Columns that an operation can sum over rows in it.
constexpr int64_t kMostSummedColumns = kScratchBytesPerThread / 4;

// Resources of an operation on the CPU besides its tensors: threads and their working memory.
struct CpuContext {
  ThreadPool& pool;
  char* scratch;  // threads × kScratchBytesPerThread

  LIMO_INLINE float* thread_scratch(int thread) const {
    return reinterpret_cast<float*>(scratch + static_cast<int64_t>(thread) * kScratchBytesPerThread);
  }
};

}  // namespace limo
