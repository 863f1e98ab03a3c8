#pragma once

#include "cuda/attention/arguments.h"
#include "cuda/attention/sm80_tiles.h"

// The forward pass for sm_80 and later. A block has kQueries rows of one head and walks over the keys before them, 64 at a time; a warp has
// 16 · kRowTiles of the rows and keeps their sums in registers. Software pipelining: values are loaded while scores are computed, the next
// keys while values are summed.
namespace limo::cuda::sm80 {

constexpr int kRowTiles = 2;
constexpr int kQueries = 16 * kRowTiles * kWarps;
constexpr int kKeys = 64;
constexpr int kKeyTiles = kKeys / 8;

template <int D>
constexpr size_t kForwardSharedBytes = kTileBytes<D, kQueries> + 2 * kTileBytes<D, kKeys>;

// The running maximum and sum of two rows that four lanes share; each lane sums what it holds.
struct RowState {
  float maximum[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0.0f, 0.0f};
};

// Turns scores into probabilities relative to the new maximum, and rescales what was summed relative to the old one. The maximum is
// subtracted before the scale is applied: at scores around 1e32 a fused scale·score − scale·maximum would be a rounding error far from 0,
// even at the maximum.
template <int D>
LIMO_DEVICE void update_softmax(RowState& state, float (&scores)[kKeyTiles][4], float (&sums)[D / 8][4], float scale_log2) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float maximum = state.maximum[half];
#pragma unroll
    for (int i = 0; i < kKeyTiles; ++i) maximum = fmaxf(maximum, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
    maximum = fmaxf(maximum, __shfl_xor_sync(0xffffffffu, maximum, 1));
    maximum = fmaxf(maximum, __shfl_xor_sync(0xffffffffu, maximum, 2));
    const float rescale = exp2_approximate((state.maximum[half] - maximum) * scale_log2);
    state.maximum[half] = maximum;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kKeyTiles; ++i) {
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        scores[i][e] = exp2_approximate((scores[i][e] - maximum) * scale_log2);
        sum += scores[i][e];
      }
    }
    state.sum[half] = state.sum[half] * rescale + sum;
#pragma unroll
    for (int i = 0; i < D / 8; ++i) {
      sums[i][2 * half] *= rescale;
      sums[i][2 * half + 1] *= rescale;
    }
  }
}

// Causal mask: keys after a row's own. Keys beyond the sequence are after every row, so the same test masks them.
LIMO_DEVICE void hide_later_keys(float (&scores)[kKeyTiles][4], int first_key, int first_row) {
  const int lane = lane_index();
#pragma unroll
  for (int i = 0; i < kKeyTiles; ++i) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int key = first_key + i * 8 + lane % 4 * 2 + e % 2, row = first_row + lane / 4 + e / 2 * 8;
      if (key > row) scores[i][e] = -INFINITY;
    }
  }
}

template <int D>
__global__ void __launch_bounds__(kThreads) attention_forward_kernel(AttentionArguments<Bf16> a, bool aligned) {
  LIMO_DYNAMIC_SHARED(shared);
  const SharedTile query_tile = {shared, shared_address(shared)};
  const SharedTile key_tile = query_tile.at(kTileBytes<D, kQueries>), value_tile = key_tile.at(kTileBytes<D, kKeys>);
  const Block block = a.query_blocks[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), kv_head = head / (a.heads / a.kv_heads), d = a.head_dim;
  const int64_t start = block.first_row;
  const HeadRows<const Bf16> q = {a.q + start * a.q_stride + head * d, a.q_stride, block.length, d, aligned};
  const HeadRows<const Bf16> k = {a.k + start * a.k_stride + kv_head * d, a.k_stride, block.length, d, aligned};
  const HeadRows<const Bf16> v = {a.v + start * a.v_stride + kv_head * d, a.v_stride, block.length, d, aligned};

  const int first_query = block.block * kQueries, last_query = min(first_query + kQueries, block.length) - 1;
  const int key_blocks = last_query / kKeys + 1;
  const int warp_row = warp_index() * 16 * kRowTiles;  // in the block
  const float scale_log2 = a.scale * kLog2E;

  load_tile<D, kQueries>(query_tile, q, first_query);
  load_tile<D, kKeys>(key_tile, k, 0);
  cp_async_commit();

  Sums<kRowTiles, D / 8> sums;
  sums.clear();
  RowState state[kRowTiles];

  for (int n = 0; n < key_blocks; ++n) {
    cp_async_wait<0>();
    __syncthreads();  // the keys are there, and nobody needs the values before these
    load_tile<D, kKeys>(value_tile, v, n * kKeys);
    cp_async_commit();

    Sums<kRowTiles, kKeyTiles> scores;
    scores.clear();
    multiply_transposed<D>(scores, query_tile.address, warp_row, key_tile.address);
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const int row = first_query + warp_row + 16 * m;
      if (n * kKeys + kKeys - 1 > row) hide_later_keys(scores.values[m], n * kKeys, row);
      update_softmax<D>(state[m], scores.values[m], sums.values[m], scale_log2);
    }

    cp_async_wait<0>();
    __syncthreads();  // the values are there, and nobody needs these keys any more
    if (n + 1 < key_blocks) load_tile<D, kKeys>(key_tile, k, (n + 1) * kKeys);
    cp_async_commit();
    multiply<D>(sums, scores, value_tile.address);
  }

  const HeadRows<Bf16> out = {a.out + start * a.out_stride + head * d, a.out_stride, block.length, d, aligned};
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    float factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = state[m].sum[half];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      factor[half] = 1.0f / sum;
      const int row = first_query + warp_row + 16 * m + lane_index() / 4 + 8 * half;
      if (lane_index() % 4 == 0 && row < block.length)
        a.lse[(start + row) * a.lse_stride + head] = state[m].maximum[half] * a.scale + logf(sum);
    }
    store_rows<D>(out, first_query + warp_row + 16 * m, sums.values[m], factor, query_tile, warp_row + 16 * m);
  }
}

}  // namespace limo::cuda::sm80
