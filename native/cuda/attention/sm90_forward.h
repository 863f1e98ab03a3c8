#pragma once

#include "cuda/attention/sm90_softmax.h"

// The forward pass of native/ops/attention.h on sm_90a. A persistent grid; a thread block has one warp that loads by TMA and two or
// three warpgroups that compute, 64 query rows each:
//   for each block of keys:  S = Q·Kᵀ (registers) → P = softmax (registers, bf16) → O = correction·O + P·V
// The products of the next block's S and this block's P·V are under way together, while the softmax of another warpgroup runs.
namespace limo::cuda::sm90 {

struct ForwardMaps {
  TensorMap q, k, v;
};

struct ForwardParameters {
  OutputRows out;
  float* lse;
  int64_t lse_stride;
  const Block* blocks;
  int items;  // blocks · heads
  int heads, heads_per_group;
  float scale;
  ScoreScale score_scale;
};

template <int kHeadDim>
struct ForwardShape {
  // Registers bound the tile: a warpgroup holds O (kHeadDim / 2 registers a thread), S (64) and P (32), which is 160 at 128 columns
  // (of 240 with two warpgroups) and 128 at 64 columns (of 160 with three). More rows a tile read K and V less often.
  static constexpr int kConsumers = kHeadDim == 64 ? 3 : 2;
  static constexpr int kProducerRegisters = kHeadDim == 64 ? 32 : 24, kConsumerRegisters = kHeadDim == 64 ? 160 : 240;
  // Depth of the ring buffer: 128 KB of keys and values in flight.
  static constexpr int kStages = kHeadDim == 64 ? 4 : 2;
  static constexpr int kRows = kConsumers * kWarpgroupRows, kKeys = 128;
  static constexpr int kThreads = (kConsumers + 1) * kWarpgroup;
  using Queries = Tile<kRows, kHeadDim>;
  using Keys = Tile<kKeys, kHeadDim>;

  static constexpr int kKeyOffset = Queries::kBytes;
  static constexpr int kValueOffset = kKeyOffset + kStages * Keys::kBytes;
  static constexpr int kBarrierOffset = kValueOffset + kStages * Keys::kBytes;
  static constexpr int kSharedBytes = kBarrierOffset + 8 * (2 + 4 * kStages);
};

// Addresses in shared memory.
template <int kHeadDim>
struct ForwardShared {
  using Shape = ForwardShape<kHeadDim>;
  unsigned char* memory;
  uint32_t base;

  LIMO_DEVICE explicit ForwardShared(unsigned char* shared) : memory(shared), base(shared_address(shared)) {}
  LIMO_DEVICE uint32_t queries() const { return base; }
  LIMO_DEVICE uint32_t keys(int stage) const { return base + Shape::kKeyOffset + stage * Shape::Keys::kBytes; }
  LIMO_DEVICE uint32_t values(int stage) const { return base + Shape::kValueOffset + stage * Shape::Keys::kBytes; }
  LIMO_DEVICE uint32_t barrier(int number) const { return base + Shape::kBarrierOffset + 8 * number; }
  LIMO_DEVICE uint32_t queries_full() const { return barrier(0); }
  LIMO_DEVICE uint32_t queries_empty() const { return barrier(1); }
  LIMO_DEVICE uint32_t keys_full(int stage) const { return barrier(2 + stage); }
  LIMO_DEVICE uint32_t keys_empty(int stage) const { return barrier(2 + Shape::kStages + stage); }
  LIMO_DEVICE uint32_t values_full(int stage) const { return barrier(2 + 2 * Shape::kStages + stage); }
  LIMO_DEVICE uint32_t values_empty(int stage) const { return barrier(2 + 3 * Shape::kStages + stage); }

  // One thread: a barrier is full by the bytes of its load, and empty when every warp that computes has said so.
  LIMO_DEVICE void init_barriers() const {
    constexpr int kWarps = 4 * Shape::kConsumers;
    mbarrier_init(queries_full(), 1);
    mbarrier_init(queries_empty(), kWarps);
    for (int stage = 0; stage < Shape::kStages; ++stage) {
      mbarrier_init(keys_full(stage), 1);
      mbarrier_init(keys_empty(stage), kWarps);
      mbarrier_init(values_full(stage), 1);
      mbarrier_init(values_empty(stage), kWarps);
    }
    fence_mbarrier_init();
  }
};

// One tile: the queries of a block and a head. Blocks are listed longest first, and heads of a block follow each other, so that heads of a
// group read the same keys at the same time. Rounds of the persistent grid walk the list in alternating directions: a thread block with the
// longest tile of one round gets the shortest of the next, and all finish together.
struct ForwardItem {
  Block block;
  int head;
  int key_blocks;

  template <class Shape>
  static LIMO_DEVICE bool next(ForwardItem& item, int& round, const ForwardParameters& p) {
    const int place = static_cast<int>(round % 2 == 0 ? blockIdx.x : gridDim.x - 1 - blockIdx.x);
    const int number = round * static_cast<int>(gridDim.x) + place;
    if (number >= p.items) return false;
    ++round;
    item.block = p.blocks[number / p.heads];
    item.head = number % p.heads;
    const int end = (item.block.block + 1) * Shape::kRows;
    item.key_blocks = ((end < item.block.length ? end : item.block.length) + Shape::kKeys - 1) / Shape::kKeys;
    return true;
  }
};

// One thread.
template <int kHeadDim>
LIMO_DEVICE void load_forward(const ForwardMaps& maps, const ForwardParameters& p,
                                        const ForwardShared<kHeadDim>& shared) {
  using Shape = ForwardShape<kHeadDim>;
  using Queries = typename Shape::Queries;
  using Keys = typename Shape::Keys;
  Ring<1> query_ring;
  Ring<Shape::kStages> ring;
  int round = 0;
  for (ForwardItem item; ForwardItem::next<Shape>(item, round, p); query_ring.advance()) {
    const int kv_head = item.head / p.heads_per_group, first = item.block.first_row;
    mbarrier_wait(shared.queries_empty(), query_ring.parity ^ 1);
    mbarrier_arrive_expect_tx(shared.queries_full(), Queries::kBytes);
    Queries::load(shared.queries(), &maps.q, shared.queries_full(), item.head, first + item.block.block * Shape::kRows);
#pragma unroll 1
    for (int n = 0; n < item.key_blocks; ++n, ring.advance()) {
      mbarrier_wait(shared.keys_empty(ring.stage), ring.parity ^ 1);
      mbarrier_arrive_expect_tx(shared.keys_full(ring.stage), Keys::kBytes);
      Keys::load(shared.keys(ring.stage), &maps.k, shared.keys_full(ring.stage), kv_head, first + n * Shape::kKeys);
      mbarrier_wait(shared.values_empty(ring.stage), ring.parity ^ 1);
      mbarrier_arrive_expect_tx(shared.values_full(ring.stage), Keys::kBytes);
      Keys::load(shared.values(ring.stage), &maps.v, shared.values_full(ring.stage), kv_head, first + n * Shape::kKeys);
    }
  }
}

// Warpgroups take turns to start their products, so that one has its softmax to do while the tensor cores are busy with another's.
// A turn is a named barrier: the threads whose turn it becomes wait, those before them only arrive.
template <int kConsumers>
struct Turns {
  int consumer;
  LIMO_DEVICE explicit Turns(int number) : consumer(number) {
    if (consumer == kConsumers - 1) pass();
  }
  LIMO_DEVICE void wait() const { named_barrier_sync(kTurnBarriers + consumer, 2 * kWarpgroup); }
  LIMO_DEVICE void pass() const { named_barrier_arrive(kTurnBarriers + (consumer + 1) % kConsumers, 2 * kWarpgroup); }
  // Consumes the turn that the last warpgroup passed on, so that all named barriers are complete at the end of the kernel.
  LIMO_DEVICE void finish() const {
    if (consumer == 0) wait();
  }
};

// One warpgroup. The scores of the next block are started before the product of this block's probabilities with its values: while
// the softmax of the former runs, the tensor cores have the latter to do.
template <int kHeadDim>
LIMO_DEVICE void compute_forward(int consumer, const ForwardParameters& p,
                                           const ForwardShared<kHeadDim>& shared) {
  using Shape = ForwardShape<kHeadDim>;
  using Queries = typename Shape::Queries;
  using Keys = typename Shape::Keys;
  constexpr int kKeys = Shape::kKeys;
  const bool arrives = threadIdx.x % 32 == 0;
  Ring<1> query_ring;
  const Turns<Shape::kConsumers> turns(consumer);
  Ring<Shape::kStages> key_ring, value_ring;
  int round = 0;
  for (ForwardItem item; ForwardItem::next<Shape>(item, round, p); query_ring.advance()) {
    const WarpgroupRows rows = {item.block, item.head, item.block.block * Shape::kRows + consumer * kWarpgroupRows};
    const uint64_t queries = Queries::along_columns(shared.queries(), consumer * kWarpgroupRows);
    float o[kHeadDim / 2], s[kKeys / 2], correction[2];
    uint32_t probabilities[kKeys / 16][4];
    SoftmaxRows softmax;
    clear(o);
    mbarrier_wait(shared.queries_full(), query_ring.parity);

    const auto wait_keys = [&] { mbarrier_wait(shared.keys_full(key_ring.stage), key_ring.parity); };
    const auto wait_values = [&] { mbarrier_wait(shared.values_full(value_ring.stage), value_ring.parity); };
    const auto start_scores = [&] {
      wgmma_fence();
      multiply_shared<Queries, Keys>(s, queries, Keys::along_columns(shared.keys(key_ring.stage)));
      wgmma_commit();
    };
    const auto finish_scores = [&](int n) {
      if (arrives) mbarrier_arrive(shared.keys_empty(key_ring.stage));
      key_ring.advance();
      if ((n + 1) * kKeys > rows.first + 1) mask_future_keys(s, rows.first, n * kKeys, -INFINITY);
      softmax.update(s, correction, p.score_scale);
    };
    const auto start_out = [&] {
      wgmma_fence();
      multiply_add_registers<Keys>(o, probabilities, Keys::along_rows(shared.values(value_ring.stage)));
      wgmma_commit();
    };
    const auto finish_out = [&] {
      wgmma_wait<0>();
      if (arrives) mbarrier_arrive(shared.values_empty(value_ring.stage));
      value_ring.advance();
    };

    wait_keys();
    start_scores();
    wgmma_wait<0>();
    finish_scores(0);
    pack_operand(probabilities, s);
#pragma unroll 1
    for (int n = 1; n < item.key_blocks; ++n) {
      wait_keys();
      turns.wait();
      start_scores();
      wait_values();
      start_out();
      turns.pass();
      wgmma_wait<1>();
      finish_scores(n);
      finish_out();
#pragma unroll
      for (int i = 0; i < kHeadDim / 2; ++i) o[i] *= correction[i / 2 % 2];
      pack_operand(probabilities, s);
    }
    if (arrives) mbarrier_arrive(shared.queries_empty());

    wait_values();
    const int valid = item.block.length - (item.key_blocks - 1) * kKeys;
    if (valid < kKeys) {
      const uint32_t offset = shared.values(value_ring.stage) - shared.base;
      Keys::zero_rows(shared.memory + offset, valid, consumer);
    }
    start_out();
    finish_out();
    softmax.finish();
#pragma unroll
    for (int r = 0; r < 2; ++r)
      if (rows.valid(r) && threadIdx.x % 4 == 0) p.lse[rows.token(r) * p.lse_stride + rows.head] = softmax.lse(r, p.scale);
    store_rows(p.out, rows, o, {1.0f / softmax.sum[0], 1.0f / softmax.sum[1]});
  }
  turns.finish();
}

template <int kHeadDim>
__global__ void __launch_bounds__(ForwardShape<kHeadDim>::kThreads, 1)
    attention_forward_kernel(LIMO_GRID_CONSTANT ForwardMaps maps, ForwardParameters p) {
#if LIMO_SM90A
  using Shape = ForwardShape<kHeadDim>;
  LIMO_DYNAMIC_SHARED(memory);
  const ForwardShared<kHeadDim> shared(memory);
  if (threadIdx.x == 0) shared.init_barriers();
  __syncthreads();
  const int warpgroup = warpgroup_index();
  if (warpgroup == 0) {
    set_max_registers_down<Shape::kProducerRegisters>();
    if (threadIdx.x == 0) load_forward<kHeadDim>(maps, p, shared);
  } else {
    set_max_registers_up<Shape::kConsumerRegisters>();
    compute_forward<kHeadDim>(warpgroup - 1, p, shared);
  }
#endif
}

}  // namespace limo::cuda::sm90
