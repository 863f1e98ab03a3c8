#pragma once

#include "cuda/attention/arguments.h"
#include "cuda/attention/sm80_tiles.h"

// The backward pass for sm_80 and later, without atomic additions: one kernel walks over queries and keeps the gradients of its keys and
// values in registers, another walks over keys and keeps those of its queries, and both compute the probabilities again. A block has 64
// rows, a warp 16 of them. Of the two tiles that a step needs, the one that is needed until its end has two places, so that the next one is
// on its way all the time; the other is free in the middle of the step and is loaded then. Shared memory is 80 KB at 128 channels: two
// blocks per multiprocessor of sm_80.
namespace limo::cuda::sm80 {

constexpr int kRows = 16 * kWarps;
constexpr int kRowsTiles = kRows / 8;

template <int D>
constexpr size_t kBackwardSharedBytes = 5 * kTileBytes<D, kRows> + 4 * kRows * sizeof(float);

// exp2(score · scale_log2 − lse_log2) for scores; lse is what the forward pass wrote.
LIMO_DEVICE float probability(float score, float scale_log2, float lse_log2) { return exp2_approximate(score * scale_log2 - lse_log2); }

// d_k and d_v of 64 keys of one key/value head, summed over the queries after them of every head of the group.
template <int D>
__global__ void __launch_bounds__(kThreads) attention_backward_keys_kernel(AttentionBackwardArguments<Bf16> a, bool aligned) {
  LIMO_DYNAMIC_SHARED(shared);
  constexpr int kTile = kTileBytes<D, kRows>;
  const SharedTile key_tile = {shared, shared_address(shared)};
  const SharedTile value_tile = key_tile.at(kTile), query_tiles = key_tile.at(2 * kTile), d_out_tile = key_tile.at(4 * kTile);
  float* const statistics = reinterpret_cast<float*>(shared + 5 * kTile);  // [2 blocks of queries][2]: lse · log2(e), delta
  const Block block = a.key_blocks[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y), group = a.heads / a.kv_heads, d = a.head_dim;
  const int64_t start = block.first_row;
  const HeadRows<const Bf16> k = {a.k + start * a.k_stride + kv_head * d, a.k_stride, block.length, d, aligned};
  const HeadRows<const Bf16> v = {a.v + start * a.v_stride + kv_head * d, a.v_stride, block.length, d, aligned};

  const int first_key = block.block * kRows, warp_row = warp_index() * 16, lane = lane_index();
  // Loop over the blocks of queries from the diagonal on, head after head.
  const int query_blocks = (block.length + kRows - 1) / kRows - block.block, steps = query_blocks * group;
  const float scale_log2 = a.scale * kLog2E;

  const auto load_queries = [&](int step) {
    const int head = kv_head * group + step / query_blocks, first_query = (block.block + step % query_blocks) * kRows;
    const HeadRows<const Bf16> q = {a.q + start * a.q_stride + head * d, a.q_stride, block.length, d, aligned};
    load_tile<D, kRows>(query_tiles.at(step % 2 * kTile), q, first_query);
    if (threadIdx.x < kRows) {
      const int query = first_query + static_cast<int>(threadIdx.x);
      const bool exists = query < block.length;
      float* const to = statistics + step % 2 * 2 * kRows + threadIdx.x;
      // Queries beyond the sequence get lse = ∞, so their probability exp2(−∞) is 0.
      to[0] = exists ? a.lse[(start + query) * a.lse_stride + head] * kLog2E : INFINITY;
      to[kRows] = exists ? a.delta[(start + query) * a.delta_stride + head] : 0.0f;
    }
  };
  const auto load_d_out = [&](int step) {
    const int head = kv_head * group + step / query_blocks, first_query = (block.block + step % query_blocks) * kRows;
    const HeadRows<const Bf16> d_out = {a.d_out + start * a.d_out_stride + head * d, a.d_out_stride, block.length, d, aligned};
    load_tile<D, kRows>(d_out_tile, d_out, first_query);
  };

  load_tile<D, kRows>(key_tile, k, first_key);
  load_tile<D, kRows>(value_tile, v, first_key);
  load_queries(0);
  cp_async_commit();
  load_d_out(0);
  cp_async_commit();

  Sums<1, D / 8> d_k, d_v;
  d_k.clear();
  d_v.clear();
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<1>();
    __syncthreads();  // this step's queries are there, and nobody needs the ones before
    if (step + 1 < steps) load_queries(step + 1);
    cp_async_commit();
    const uint32_t query_tile = query_tiles.address + step % 2 * kTile;
    const float* const lse = statistics + step % 2 * 2 * kRows;
    const float* const delta = lse + kRows;

    Sums<1, kRowsTiles> p;  // [key][query]
    p.clear();
    multiply_transposed<D>(p, key_tile.address, warp_row, query_tile);
    const bool diagonal = step % query_blocks == 0;
#pragma unroll
    for (int i = 0; i < kRowsTiles; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int query = i * 8 + lane % 4 * 2 + e % 2, key = warp_row + lane / 4 + e / 2 * 8;
        p.values[0][i][e] = diagonal && key > query ? 0.0f : probability(p.values[0][i][e], scale_log2, lse[query]);
      }
    }

    cp_async_wait<1>();
    __syncthreads();  // d_out is there
    multiply<D>(d_v, p, d_out_tile.address);
    Sums<1, kRowsTiles> d_s;
    d_s.clear();
    multiply_transposed<D>(d_s, value_tile.address, warp_row, d_out_tile.address);
    __syncthreads();  // nobody needs d_out any more
    if (step + 1 < steps) load_d_out(step + 1);
    cp_async_commit();
#pragma unroll
    for (int i = 0; i < kRowsTiles; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) d_s.values[0][i][e] = p.values[0][i][e] * (d_s.values[0][i][e] - delta[i * 8 + lane % 4 * 2 + e % 2]);
    }
    multiply<D>(d_k, d_s, query_tile);
  }

  cp_async_wait<0>();
  __syncthreads();  // the tiles of queries are free
  const HeadRows<Bf16> to_d_k = {a.d_k + start * a.d_k_stride + kv_head * d, a.d_k_stride, block.length, d, aligned};
  const HeadRows<Bf16> to_d_v = {a.d_v + start * a.d_v_stride + kv_head * d, a.d_v_stride, block.length, d, aligned};
  store_rows<D>(to_d_k, first_key + warp_row, d_k.values[0], {a.scale, a.scale}, query_tiles, warp_row);
  store_rows<D>(to_d_v, first_key + warp_row, d_v.values[0], {1.0f, 1.0f}, query_tiles.at(kTile), warp_row);
}

// d_q of 64 queries of one head, summed over the keys before them.
template <int D>
__global__ void __launch_bounds__(kThreads) attention_backward_queries_kernel(AttentionBackwardArguments<Bf16> a, bool aligned) {
  LIMO_DYNAMIC_SHARED(shared);
  constexpr int kTile = kTileBytes<D, kRows>;
  const SharedTile query_tile = {shared, shared_address(shared)};
  const SharedTile d_out_tile = query_tile.at(kTile), key_tiles = query_tile.at(2 * kTile), value_tile = query_tile.at(4 * kTile);
  const Block block = a.query_blocks[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), kv_head = head / (a.heads / a.kv_heads), d = a.head_dim;
  const int64_t start = block.first_row;
  const HeadRows<const Bf16> q = {a.q + start * a.q_stride + head * d, a.q_stride, block.length, d, aligned};
  const HeadRows<const Bf16> d_out = {a.d_out + start * a.d_out_stride + head * d, a.d_out_stride, block.length, d, aligned};
  const HeadRows<const Bf16> k = {a.k + start * a.k_stride + kv_head * d, a.k_stride, block.length, d, aligned};
  const HeadRows<const Bf16> v = {a.v + start * a.v_stride + kv_head * d, a.v_stride, block.length, d, aligned};

  const int first_query = block.block * kRows, warp_row = warp_index() * 16, lane = lane_index();
  const float scale_log2 = a.scale * kLog2E;

  load_tile<D, kRows>(query_tile, q, first_query);
  load_tile<D, kRows>(d_out_tile, d_out, first_query);
  load_tile<D, kRows>(key_tiles, k, 0);
  cp_async_commit();
  load_tile<D, kRows>(value_tile, v, 0);
  cp_async_commit();

  float lse[2], delta[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = first_query + warp_row + lane / 4 + 8 * half;
    const bool exists = query < block.length;
    lse[half] = exists ? a.lse[(start + query) * a.lse_stride + head] * kLog2E : INFINITY;
    delta[half] = exists ? a.delta[(start + query) * a.delta_stride + head] : 0.0f;
  }

  Sums<1, D / 8> d_q;
  d_q.clear();
  for (int step = 0; step <= block.block; ++step) {
    cp_async_wait<1>();
    __syncthreads();  // this step's keys are there, and nobody needs the ones before
    if (step < block.block) load_tile<D, kRows>(key_tiles.at((step + 1) % 2 * kTile), k, (step + 1) * kRows);
    cp_async_commit();
    const uint32_t key_tile = key_tiles.address + step % 2 * kTile;

    Sums<1, kRowsTiles> p;  // [query][key]
    p.clear();
    multiply_transposed<D>(p, query_tile.address, warp_row, key_tile);
    const bool diagonal = step == block.block;
#pragma unroll
    for (int i = 0; i < kRowsTiles; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int key = i * 8 + lane % 4 * 2 + e % 2, query = warp_row + lane / 4 + e / 2 * 8;
        p.values[0][i][e] = diagonal && key > query ? 0.0f : probability(p.values[0][i][e], scale_log2, lse[e / 2]);
      }
    }

    cp_async_wait<1>();
    __syncthreads();  // the values are there
    Sums<1, kRowsTiles> d_s;
    d_s.clear();
    multiply_transposed<D>(d_s, d_out_tile.address, warp_row, value_tile.address);
    __syncthreads();  // nobody needs the values any more
    if (step < block.block) load_tile<D, kRows>(value_tile, v, (step + 1) * kRows);
    cp_async_commit();
#pragma unroll
    for (int i = 0; i < kRowsTiles; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) d_s.values[0][i][e] = p.values[0][i][e] * (d_s.values[0][i][e] - delta[e / 2]);
    }
    multiply<D>(d_q, d_s, key_tile);
  }

  cp_async_wait<0>();
  const HeadRows<Bf16> to = {a.d_q + start * a.d_q_stride + head * d, a.d_q_stride, block.length, d, aligned};
  // No barrier: only this warp has read these rows of the tile of queries.
  store_rows<D>(to, first_query + warp_row, d_q.values[0], {a.scale, a.scale}, query_tile, warp_row);
}

}  // namespace limo::cuda::sm80
