#pragma once

#include "cuda/attention/sm90_backward_parts.h"

// d_q on sm_90a. A thread block owns 128 queries of a head and goes through the keys they see:
//   S = Q·Kᵀ → P = exp(S − lse),  dP = dO·Vᵀ → dS = P ∘ (dP − delta),  dQ += dS·K
// dS is already in the registers that the last product takes its first operand from.
namespace limo::cuda::sm90 {

template <int kHeadDim>
struct QueriesShape {
  // Registers a thread: dQ (kHeadDim / 2), S and dP (one a key) and dS (a quarter). 128 keys rather than 64 for the shared memory:
  // see KeysShape. At 64 columns the exponentials take as long as two of the three products, and dQ has to go on during
  // the next scores; that needs all registers at once, 192, which 128 columns (224, and addresses, of 240) have not.
  static constexpr bool kOverlaps = kHeadDim == 64;
  static constexpr int kStages = kHeadDim == 64 ? 4 : 2;  // 128 KB of keys and values under way
  using Queries = Tile<kBackwardRows, kHeadDim>;
  using Keys = Tile<128, kHeadDim>;
  using Shared = BackwardShared<Queries, Keys, kStages, 0>;
  static constexpr int kSharedBytes = Shared::kSharedBytes;
};

// A block of queries and a head. Heads of a block follow each other: those of a group read the same keys.
struct QueriesWork {
  Block block;
  int head, first_query, key_blocks;

  LIMO_DEVICE explicit QueriesWork(const BackwardParameters& p) {
    block = p.blocks[blockIdx.x / p.heads];
    head = static_cast<int>(blockIdx.x % p.heads);
    first_query = block.block * kBackwardRows;
    key_blocks = block.block + 1;
  }
};

// One thread.
template <int kHeadDim>
LIMO_DEVICE void load_keys(const BackwardMaps& maps, const BackwardParameters& p,
                                                 const QueriesWork& work,
                                                 const typename QueriesShape<kHeadDim>::Shared& shared) {
  using Shape = QueriesShape<kHeadDim>;
  shared.load_owned(&maps.q, &maps.d_out, work.head, work.block.first_row + work.first_query);
  Ring<Shape::kStages> ring;
#pragma unroll 1
  for (int n = 0; n < work.key_blocks; ++n, ring.advance()) {
    mbarrier_wait(shared.empty(ring.stage), ring.parity ^ 1);
    const int kv_head = work.head / p.heads_per_group;
    shared.load_streamed(&maps.k, &maps.v, ring.stage, kv_head, work.block.first_row + n * Shape::Keys::kRows);
  }
}

// One warpgroup.
template <int kHeadDim>
LIMO_DEVICE void compute_queries(int consumer, const BackwardParameters& p,
                                                    const QueriesWork& work,
                                                    const typename QueriesShape<kHeadDim>::Shared& shared) {
  using Shape = QueriesShape<kHeadDim>;
  using Queries = typename Shape::Queries;
  using Keys = typename Shape::Keys;
  constexpr int kKeys = Keys::kRows;
  const bool arrives = threadIdx.x % 32 == 0;
  const WarpgroupRows rows = {work.block, work.head, work.first_query + consumer * kWarpgroupRows};
  const uint64_t queries = Queries::along_columns(shared.owned(0), consumer * kWarpgroupRows);
  const uint64_t d_out = Queries::along_columns(shared.owned(1), consumer * kWarpgroupRows);
  float d_q[kHeadDim / 2], lse[2] = {}, delta[2] = {};
  uint32_t d_s_operand[kKeys / 16][4];
  Ring<Shape::kStages> ring;
  int previous_stage = 0;
  clear(d_q);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (!rows.valid(r)) continue;
    lse[r] = p.lse[rows.token(r) * p.lse_stride + work.head] * kLog2E;
    delta[r] = p.delta[rows.token(r) * p.delta_stride + work.head];
  }

  mbarrier_wait(shared.owned_full(), 0);
  int n = 0;  // a loop like that over queries in sm90_backward_keys.h
#pragma unroll 1
  do {
    const int stage = ring.stage;
    float s[kKeys / 2], d_p[kKeys / 2], p_or_d_s[kKeys / 2];
    mbarrier_wait(shared.full(stage), ring.parity);
    shared.zero_beyond(stage, work.block.length - n * kKeys, consumer);
    wgmma_fence();
    multiply_shared<Queries, Keys>(s, queries, Keys::along_columns(shared.streamed(stage, 0)));
    wgmma_commit();
    multiply_shared<Queries, Keys>(d_p, d_out, Keys::along_columns(shared.streamed(stage, 1)));
    wgmma_commit();

    wgmma_wait<1>();  // S, and dQ of the keys before: nothing reads their stage any more
    if (arrives && n > 0) mbarrier_arrive(shared.empty(previous_stage));
    previous_stage = stage;
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) p_or_d_s[i] = exp2_approximate(fmaf(s[i], p.scale_log2, -lse[i / 2 % 2]));
    if (n == work.key_blocks - 1) mask_future_keys(p_or_d_s, rows.first, n * kKeys, 0.0f);

    wgmma_wait<0>();  // dP
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) p_or_d_s[i] *= d_p[i] - delta[i / 2 % 2];
    pack_operand(d_s_operand, p_or_d_s);
    wgmma_fence();
    multiply_add_registers<Keys>(d_q, d_s_operand, Keys::along_rows(shared.streamed(stage, 0)));
    wgmma_commit();
    if (!Shape::kOverlaps) wgmma_wait<0>();
    ring.advance();
  } while (++n < work.key_blocks);
  wgmma_wait<0>();
  store_rows(p.d_q, rows, d_q, {p.scale, p.scale});
}

template <int kHeadDim>
__global__ void __launch_bounds__(kBackwardThreads, 1)
    attention_backward_queries_kernel(LIMO_GRID_CONSTANT BackwardMaps maps, BackwardParameters p) {
#if LIMO_SM90A
  using Shape = QueriesShape<kHeadDim>;
  LIMO_DYNAMIC_SHARED(memory);
  const typename Shape::Shared shared(memory);
  const QueriesWork work(p);
  if (threadIdx.x == 0) shared.init_barriers(1);
  __syncthreads();
  const int warpgroup = warpgroup_index();
  if (warpgroup == 0) {
    set_max_registers_down<kBackwardProducerRegisters>();
    if (threadIdx.x == 0) load_keys<kHeadDim>(maps, p, work, shared);
  } else {
    set_max_registers_up<kBackwardConsumerRegisters>();
    compute_queries<kHeadDim>(warpgroup - 1, p, work, shared);
  }
#endif
}

}  // namespace limo::cuda::sm90
