#pragma once

#include "cuda/attention/sm90_softmax.h"

// Parts shared by the two backward kernels. Both are warp-specialised: one producer warp loads, two consumer warpgroups compute 64 rows
// each. A thread block owns a tile of keys (or queries) and goes through a ring buffer of tiles of the others.
namespace limo::cuda::sm90 {

constexpr int kBackwardRows = 2 * kWarpgroupRows;  // rows of a block of keys, or of queries
constexpr int kBackwardThreads = 3 * kWarpgroup;
constexpr int kBackwardProducerRegisters = 24, kBackwardConsumerRegisters = 240;

struct BackwardMaps {
  TensorMap q, k, v, d_out;
};

struct BackwardParameters {
  OutputRows d_q, d_k, d_v;
  const float *lse, *delta;
  int64_t lse_stride, delta_stride;
  const Block* blocks;
  int heads, kv_heads, heads_per_group;
  float scale, scale_log2;
};

// Two tiles that arrive together and stay (what the thread block owns), and a ring of stages of two tiles each, which `kStageExtra`
// more bytes follow that the loading warp writes itself.
template <class Owned_, class Streamed_, int kStages_, int kStageExtra>
struct BackwardShared {
  using Owned = Owned_;
  using Streamed = Streamed_;
  static constexpr int kStages = kStages_;
  static constexpr int kStreamedOffset = 2 * Owned::kBytes;
  static constexpr int kExtraOffset = kStreamedOffset + kStages * 2 * Streamed::kBytes;
  static constexpr int kBarrierOffset = kExtraOffset + kStages * kStageExtra;
  static constexpr int kSharedBytes = kBarrierOffset + 8 * (1 + 2 * kStages);

  unsigned char* memory;
  uint32_t base;

  LIMO_DEVICE explicit BackwardShared(unsigned char* shared) : memory(shared), base(shared_address(shared)) {}
  LIMO_DEVICE uint32_t owned(int number) const { return base + number * Owned::kBytes; }
  LIMO_DEVICE int streamed_offset(int stage, int number) const {
    return kStreamedOffset + (2 * stage + number) * Streamed::kBytes;
  }
  LIMO_DEVICE uint32_t streamed(int stage, int number) const { return base + streamed_offset(stage, number); }
  LIMO_DEVICE float* extra(int stage) const { return reinterpret_cast<float*>(memory + kExtraOffset + stage * kStageExtra); }
  LIMO_DEVICE uint32_t owned_full() const { return base + kBarrierOffset; }
  LIMO_DEVICE uint32_t full(int stage) const { return base + kBarrierOffset + 8 * (1 + stage); }
  LIMO_DEVICE uint32_t empty(int stage) const { return base + kBarrierOffset + 8 * (1 + kStages + stage); }

  // One thread. `arrivals`: how many threads of the producer warp arrive at a stage's full barrier.
  LIMO_DEVICE void init_barriers(int arrivals) const {
    mbarrier_init(owned_full(), 1);
    for (int stage = 0; stage < kStages; ++stage) {
      mbarrier_init(full(stage), arrivals);
      mbarrier_init(empty(stage), 2 * 4);  // the warps that compute
    }
    fence_mbarrier_init();
  }

  // One thread.
  LIMO_DEVICE void load_owned(const TensorMap* first, const TensorMap* second, int head, int row) const {
    mbarrier_arrive_expect_tx(owned_full(), 2 * Owned::kBytes);
    Owned::load(owned(0), first, owned_full(), head, row);
    Owned::load(owned(1), second, owned_full(), head, row);
  }
  LIMO_DEVICE void load_streamed(const TensorMap* first, const TensorMap* second, int stage, int head, int row) const {
    mbarrier_arrive_expect_tx(full(stage), 2 * Streamed::kBytes);
    Streamed::load(streamed(stage, 0), first, full(stage), head, row);
    Streamed::load(streamed(stage, 1), second, full(stage), head, row);
  }
  // Zeros the rows of a stage that are beyond the sequence, of which `valid` remain.
  LIMO_DEVICE void zero_beyond(int stage, int valid, int consumer) const {
    if (valid >= Streamed::kRows) return;
    Streamed::zero_rows(memory + streamed_offset(stage, 0), valid, consumer);
    Streamed::zero_rows(memory + streamed_offset(stage, 1), valid, consumer);
  }
};

}  // namespace limo::cuda::sm90
