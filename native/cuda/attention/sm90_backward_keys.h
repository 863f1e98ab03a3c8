#pragma once

#include "cuda/attention/sm90_backward_parts.h"

// d_k and d_v on sm_90a. A thread block owns 128 keys of a key/value head and goes through the queries that see them, of each query
// head of the group in turn. With keys as rows,
//   Sᵀ = K·Qᵀ → Pᵀ = exp(Sᵀ − lse),  dPᵀ = V·dOᵀ → dSᵀ = Pᵀ ∘ (dPᵀ − delta),  dV += Pᵀ·dO,  dK += dSᵀ·Q
// Pᵀ and dSᵀ are already in the registers that the last two products take their first operand from. lse and delta run along columns:
// the loading warp puts them into shared memory, next to the queries they belong to.
namespace limo::cuda::sm90 {

template <int kHeadDim>
struct KeysShape {
  // Sᵀ and dPᵀ take both operands from shared memory: 64 queries a product keep it busy all the time, 128 three quarters of it (dV
  // and dK, half). Registers a thread: dK and dV (kHeadDim), Sᵀ and dPᵀ (one a query), Pᵀ and dSᵀ (a quarter each). So 64 queries
  // of 128 columns are the most, and dK can go on during the next scores (208 registers of 240). 128 queries of 64 columns have no
  // room for that (224, and addresses), nor much need: two warpgroups, each a quarter of the time at exponentials.
  static constexpr int kQueries = kHeadDim == 64 ? 128 : 64;
  static constexpr bool kOverlaps = kHeadDim == 128;
  static constexpr int kStages = 3;  // 96 KB of queries under way
  using Keys = Tile<kBackwardRows, kHeadDim>;
  using Queries = Tile<kQueries, kHeadDim>;
  using Shared = BackwardShared<Keys, Queries, kStages, 2 * kQueries * static_cast<int>(sizeof(float))>;
  static constexpr int kSharedBytes = Shared::kSharedBytes;
  // A lane each, and the one that starts the load of the tiles once more.
  static constexpr int kArrivals = 32 + 1;
};

// Loop bounds of a block of keys: the blocks of kQueries queries that see it, `first` … `end` − 1, for each head of the group.
template <int kHeadDim>
struct KeysWork {
  static constexpr int kQueries = KeysShape<kHeadDim>::kQueries;
  Block block;
  int kv_head, first, end, steps;

  LIMO_DEVICE explicit KeysWork(const BackwardParameters& p) {
    block = p.blocks[blockIdx.x / p.kv_heads];
    kv_head = static_cast<int>(blockIdx.x % p.kv_heads);
    first = block.block * kBackwardRows / kQueries;
    end = (block.length + kQueries - 1) / kQueries;
    steps = (end - first) * p.heads_per_group;
  }
};

// One warp.
template <int kHeadDim>
LIMO_DEVICE void load_queries(const BackwardMaps& maps, const BackwardParameters& p,
                                              const KeysWork<kHeadDim>& work,
                                              const typename KeysShape<kHeadDim>::Shared& shared) {
  constexpr int kQueries = KeysShape<kHeadDim>::kQueries;
  const Block& block = work.block;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (lane == 0) shared.load_owned(&maps.k, &maps.v, work.kv_head, block.first_row + block.block * kBackwardRows);
  Ring<KeysShape<kHeadDim>::kStages> ring;
  for (int head = work.kv_head * p.heads_per_group; head < (work.kv_head + 1) * p.heads_per_group; ++head)
#pragma unroll 1
    for (int n = work.first; n < work.end; ++n, ring.advance()) {
      mbarrier_wait(shared.empty(ring.stage), ring.parity ^ 1);
      if (lane == 0) shared.load_streamed(&maps.q, &maps.d_out, ring.stage, head, block.first_row + n * kQueries);
      // Beyond the sequence P is 1, and multiplies zeros.
      float* rows = shared.extra(ring.stage);
#pragma unroll
      for (int i = lane; i < kQueries; i += 32) {
        const int query = n * kQueries + i;
        const int64_t token = block.first_row + query;
        const bool valid = query < block.length;
        rows[i] = valid ? p.lse[token * p.lse_stride + head] * kLog2E : 0.0f;
        rows[kQueries + i] = valid ? p.delta[token * p.delta_stride + head] : 0.0f;
      }
      mbarrier_arrive(shared.full(ring.stage));
    }
}

// One warpgroup.
template <int kHeadDim>
LIMO_DEVICE void compute_keys(int consumer, const BackwardParameters& p,
                                                 const KeysWork<kHeadDim>& work,
                                                 const typename KeysShape<kHeadDim>::Shared& shared) {
  using Shape = KeysShape<kHeadDim>;
  using Keys = typename Shape::Keys;
  using Queries = typename Shape::Queries;
  constexpr int kQueries = Shape::kQueries;
  const bool arrives = threadIdx.x % 32 == 0;
  const int first_key = work.block.block * kBackwardRows + consumer * kWarpgroupRows;
  const uint64_t keys = Keys::along_columns(shared.owned(0), consumer * kWarpgroupRows);
  const uint64_t values = Keys::along_columns(shared.owned(1), consumer * kWarpgroupRows);
  float d_k[kHeadDim / 2], d_v[kHeadDim / 2];
  uint32_t p_operand[kQueries / 16][4], d_s_operand[kQueries / 16][4];
  Ring<Shape::kStages> ring;
  int n = work.first, previous_stage = 0;
  clear(d_k);
  clear(d_v);
  mbarrier_wait(shared.owned_full(), 0);
  // ptxas serialises wgmma (warnings C75xx) if anything but wgmma writes an accumulator that is in flight from one round to the next. Hence
  // do-while, which has no path around the loop, and the mask is applied to P and not to S.
  int step = 0;
#pragma unroll 1
  do {
    const int stage = ring.stage;
    float s[kQueries / 2], d_p[kQueries / 2], p_or_d_s[kQueries / 2];
    mbarrier_wait(shared.full(stage), ring.parity);
    shared.zero_beyond(stage, work.block.length - n * kQueries, consumer);
    wgmma_fence();
    multiply_shared<Keys, Queries>(s, keys, Queries::along_columns(shared.streamed(stage, 0)));
    wgmma_commit();
    multiply_shared<Keys, Queries>(d_p, values, Queries::along_columns(shared.streamed(stage, 1)));
    wgmma_commit();

    wgmma_wait<1>();  // Sᵀ, and dK of the queries before: nothing reads their stage any more
    // One lane arrives for all of its warp, which have read the statistics of the stage.
    __syncwarp();
    if (arrives && step > 0) mbarrier_arrive(shared.empty(previous_stage));
    previous_stage = stage;
    const float2* lse = reinterpret_cast<const float2*>(shared.extra(stage) + accumulator_column());
#pragma unroll
    for (int i = 0; i < kQueries / 2; i += 2) {
      const float2 pair = lse[i / 4 * 4];
      p_or_d_s[i] = exp2_approximate(fmaf(s[i], p.scale_log2, -pair.x));
      p_or_d_s[i + 1] = exp2_approximate(fmaf(s[i + 1], p.scale_log2, -pair.y));
    }
    if (n * kQueries < first_key + kWarpgroupRows - 1) mask_past_queries(p_or_d_s, first_key, n * kQueries, 0.0f);
    if (++n == work.end) n = work.first;
    pack_operand(p_operand, p_or_d_s);
    wgmma_fence();
    multiply_add_registers<Queries>(d_v, p_operand, Queries::along_rows(shared.streamed(stage, 1)));
    wgmma_commit();

    wgmma_wait<1>();  // dPᵀ
    const float2* delta = lse + kQueries / 2;
#pragma unroll
    for (int i = 0; i < kQueries / 2; i += 2) {
      const float2 pair = delta[i / 4 * 4];
      p_or_d_s[i] *= d_p[i] - pair.x;
      p_or_d_s[i + 1] *= d_p[i + 1] - pair.y;
    }
    pack_operand(d_s_operand, p_or_d_s);
    wgmma_fence();
    multiply_add_registers<Queries>(d_k, d_s_operand, Queries::along_rows(shared.streamed(stage, 0)));
    wgmma_commit();
    wgmma_wait<Shape::kOverlaps ? 1 : 0>();  // dV in any case, whose operand's registers the next scores need
    ring.advance();
  } while (++step < work.steps);
  wgmma_wait<0>();
  const WarpgroupRows rows = {work.block, work.kv_head, first_key};
  store_rows(p.d_k, rows, d_k, {p.scale, p.scale});
  store_rows(p.d_v, rows, d_v, {1.0f, 1.0f});
}

template <int kHeadDim>
__global__ void __launch_bounds__(kBackwardThreads, 1)
    attention_backward_keys_kernel(LIMO_GRID_CONSTANT BackwardMaps maps, BackwardParameters p) {
#if LIMO_SM90A
  using Shape = KeysShape<kHeadDim>;
  LIMO_DYNAMIC_SHARED(memory);
  const typename Shape::Shared shared(memory);
  const KeysWork<kHeadDim> work(p);
  if (threadIdx.x == 0) shared.init_barriers(Shape::kArrivals);
  __syncthreads();
  const int warpgroup = warpgroup_index();
  if (warpgroup == 0) {
    set_max_registers_down<kBackwardProducerRegisters>();
    if (threadIdx.x < 32) load_queries<kHeadDim>(maps, p, work, shared);
  } else {
    set_max_registers_up<kBackwardConsumerRegisters>();
    compute_keys<kHeadDim>(warpgroup - 1, p, work, shared);
  }
#endif
}

}  // namespace limo::cuda::sm90
