#pragma once

#include <algorithm>
#include <vector>

#include "cuda/attention/paged_keys.h"

// Attention of new tokens of a sequence to all tokens before them, over a paged cache. Sums are float32, in an order that depends only on a
// key's position in its sequence, so the bits do not depend on how a prompt is cut into runs.
namespace limo::cuda {

// A block: consecutive rows of one sequence. `left` counts the sequence's rows in this run from the block's first on.
struct PrefillBlock {
  int32_t first_row, rows, left, sequence;
};
static_assert(sizeof(PrefillBlock) == 16);

template <class T>
struct PrefillArguments {
  T* out;
  const T* q;
  PagedKeys<T> keys;
  const int32_t* lengths;
  const PrefillBlock* blocks;
  int64_t out_stride, q_stride;
  int heads, group, head_dim;
  float scale;
};

constexpr int kPrefillWarps = 4, kPrefillThreads = 32 * kPrefillWarps;
// Thread blocks per multiprocessor that shared memory allows, with heads of 128 channels.
constexpr int kPrefillBlocks = 3;
// Vector width: a lane takes a quad of channels at once; heads are padded to whole quads in shared memory.
constexpr int kQuad = 4;

// Register tile: rows of a warp, keys of a lane, quads of channels of a lane. As many accumulators as registers hold.
template <int kRowsOfWarp, int kKeysOfLane, int kQuadsOfLane>
struct PrefillTile {
  static constexpr int kRows = kRowsOfWarp, kLaneKeys = kKeysOfLane, kQuads = kQuadsOfLane;
  static constexpr int kKeys = 32 * kLaneKeys;
  static constexpr int kBlockRows = kRows * kPrefillWarps;
  static constexpr int kMostChannels = 32 * kQuad * kQuads;

  // Pitch of keys in shared memory: an odd number of quads, so that the keys of eight lanes lie in different banks.
  static constexpr int pitch(int quads) { return kQuad * (quads | 1); }
};
using NarrowTile = PrefillTile<8, 2, 1>;
using WideTile = PrefillTile<4, 1, 4>;

inline int quads_of(int head_dim) { return (head_dim + kQuad - 1) / kQuad; }
inline int prefill_rows(int head_dim) { return head_dim <= NarrowTile::kMostChannels ? NarrowTile::kBlockRows : WideTile::kBlockRows; }

// Later rows of a sequence cost more: they come first.
inline std::vector<PrefillBlock> list_prefill_blocks(const int32_t* cu_seqlens, int64_t count, int rows_per_block) {
  std::vector<PrefillBlock> blocks;
  for (int64_t s = count - 2; s >= 0; --s) {
    const int32_t rows = cu_seqlens[s + 1] - cu_seqlens[s];
    for (int32_t first = (rows - 1) / rows_per_block * rows_per_block; first >= 0; first -= rows_per_block)
      blocks.push_back({cu_seqlens[s] + first, std::min(rows_per_block, rows - first), rows - first, static_cast<int32_t>(s)});
  }
  return blocks;
}

// Shared memory of a block: cache rows of a tile's keys, the keys, the queries, and the probabilities of each warp.
template <class Tile>
struct PrefillMemory {
  static constexpr size_t kRowBytes = Tile::kKeys * sizeof(int64_t);

  int64_t* rows;
  float *keys, *queries, *probabilities;  // [kKeys, pitch], [kBlockRows, 4·quads], [kPrefillWarps, kKeys, kRows]

  LIMO_DEVICE PrefillMemory(unsigned char* shared, int quads) {
    rows = reinterpret_cast<int64_t*>(shared);
    keys = reinterpret_cast<float*>(shared + kRowBytes);
    queries = keys + Tile::kKeys * Tile::pitch(quads);
    probabilities = queries + Tile::kBlockRows * kQuad * quads;
  }

  static size_t bytes(int quads) {
    const int floats = Tile::kKeys * Tile::pitch(quads) + Tile::kBlockRows * kQuad * quads + kPrefillWarps * Tile::kKeys * Tile::kRows;
    return kRowBytes + static_cast<size_t>(floats) * sizeof(float);
  }
};

// Loads keys [first, first + count) of a sequence and their rows of the cache, one key per warp at a time.
template <class Tile, bool kPacks, class T>
LIMO_DEVICE void stage_keys(const PrefillMemory<Tile>& memory, const PrefillArguments<T>& a, int64_t sequence, int first, int count, int channel) {
  const int lane = static_cast<int>(threadIdx.x % 32), quads = (a.head_dim + kQuad - 1) / kQuad, pitch = Tile::pitch(quads);
#pragma unroll 4
  for (int key = static_cast<int>(threadIdx.x / 32); key < count; key += kPrefillWarps) {
    const int64_t row = a.keys.row_of(sequence, first + key);
    if (lane == 0) memory.rows[key] = row;
    for (int quad = lane; quad < quads; quad += 32) {
      float x[kQuad];
      load_padded<kQuad, kPacks>(x, a.keys.k + row * a.keys.k_stride + channel, quad * kQuad, a.head_dim);
      store<kQuad>(memory.keys + key * pitch + quad * kQuad, x);
    }
  }
}

// The rows of a warp: their running maximum, sum of exponentials (a lane's share) and sums of values.
template <class Tile>
struct RunningRows {
  float maximum[Tile::kRows], total[Tile::kRows], out[Tile::kRows][Tile::kQuads][kQuad];
};

// score[j][r] = Σ_c q[r][c]·k[lane + 32·j][c], in the order of the channels.
template <class Tile>
LIMO_DEVICE void score_tile(float (&score)[Tile::kLaneKeys][Tile::kRows], const float* queries, const float* keys, int quads) {
  const int lane = static_cast<int>(threadIdx.x % 32), pitch = Tile::pitch(quads);
#pragma unroll
  for (int j = 0; j < Tile::kLaneKeys; ++j)
#pragma unroll
    for (int r = 0; r < Tile::kRows; ++r) score[j][r] = 0.0f;
  for (int quad = 0; quad < quads; ++quad) {
    float k[Tile::kLaneKeys][kQuad];
#pragma unroll
    for (int j = 0; j < Tile::kLaneKeys; ++j) load<kQuad>(k[j], keys + (lane + 32 * j) * pitch + quad * kQuad);
#pragma unroll
    for (int r = 0; r < Tile::kRows; ++r) {
      float q[kQuad];
      load<kQuad>(q, queries + (r * quads + quad) * kQuad);
#pragma unroll
      for (int j = 0; j < Tile::kLaneKeys; ++j)
#pragma unroll
        for (int i = 0; i < kQuad; ++i) score[j][r] = fmaf(q[i], k[j][i], score[j][r]);
    }
  }
}

// Softmax: scores of a tile become probabilities in shared memory, [kKeys, kRows], 0 where masked. Row r sees the first `seen` + r of the
// tile's keys.
template <class Tile>
LIMO_DEVICE void softmax_tile(float (&score)[Tile::kLaneKeys][Tile::kRows], RunningRows<Tile>& rows, float* probabilities, int seen, float scale) {
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int r = 0; r < Tile::kRows; ++r) {
    float largest = -INFINITY;
#pragma unroll
    for (int j = 0; j < Tile::kLaneKeys; ++j) {
      if (lane + 32 * j >= seen + r) score[j][r] = -INFINITY;
      largest = fmaxf(largest, score[j][r]);
    }
    const float before = rows.maximum[r], maximum = fmaxf(before, warp_maximum(largest));
    // The maximum is subtracted before the scale is applied: at scores around 1e32 a fused scale·score − scale·maximum would be a rounding
    // error far from 0, even at the maximum.
    const float rescale = expf((before - maximum) * scale);
    rows.maximum[r] = maximum;
    rows.total[r] *= rescale;
#pragma unroll
    for (int j = 0; j < Tile::kLaneKeys; ++j) {
      const float p = expf((score[j][r] - maximum) * scale);
      rows.total[r] += p;
      probabilities[(lane + 32 * j) * Tile::kRows + r] = p;
    }
#pragma unroll
    for (int i = 0; i < Tile::kQuads; ++i)
#pragma unroll
      for (int c = 0; c < kQuad; ++c) rows.out[r][i][c] *= rescale;
  }
}

// out[r][c] += Σ_key p[key][r]·v[key][c] over the first `count` keys of a tile, in order; a lane has some channels.
template <class Tile, bool kPacks, class T>
LIMO_DEVICE void add_values(RunningRows<Tile>& rows, const float* probabilities, const int64_t* cache_rows, int count, const T* v, int64_t v_stride,
                            int head_dim) {
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll 4
  for (int key = 0; key < count; ++key) {
    const T* const row = v + cache_rows[key] * v_stride;
    float p[Tile::kRows];
    load<Tile::kRows>(p, probabilities + key * Tile::kRows);
#pragma unroll
    for (int i = 0; i < Tile::kQuads; ++i) {
      const int channel = (32 * i + lane) * kQuad;
      if (channel >= head_dim) break;
      float x[kQuad];
      load_padded<kQuad, kPacks>(x, row, channel, head_dim);
#pragma unroll
      for (int r = 0; r < Tile::kRows; ++r)
#pragma unroll
        for (int c = 0; c < kQuad; ++c) rows.out[r][i][c] = fmaf(p[r], x[c], rows.out[r][i][c]);
    }
  }
}

template <class Tile, class T>
LIMO_DEVICE void store_row(const RunningRows<Tile>& rows, int r, float total, T* to, int head_dim) {
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int i = 0; i < Tile::kQuads; ++i)
#pragma unroll
    for (int c = 0; c < kQuad; ++c) {
      const int channel = (32 * i + lane) * kQuad + c;
      if (channel < head_dim) narrow(to[channel], rows.out[r][i][c] / total);
    }
}

// A block has some rows of one head; it goes through the keys of their sequence a tile at a time.
template <class Tile, bool kPacks, class T>
__global__ void __launch_bounds__(kPrefillThreads, kPrefillBlocks) attention_prefill_kernel(PrefillArguments<T> a) {
  LIMO_DYNAMIC_SHARED(shared);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, d = a.head_dim, quads = (d + kQuad - 1) / kQuad;
  const int head = static_cast<int>(blockIdx.y), kv_channel = head / a.group * d;
  const PrefillMemory<Tile> memory(shared, quads);
  const PrefillBlock block = a.blocks[blockIdx.x];
  for (int i = thread; i < Tile::kBlockRows * quads; i += kPrefillThreads) {
    const int row = min(i / quads, block.rows - 1), quad = i % quads;
    float x[kQuad];
    load_padded<kQuad, kPacks>(x, a.q + (block.first_row + row) * a.q_stride + head * d, quad * kQuad, d);
    store<kQuad>(memory.queries + i * kQuad, x);
  }
  // Lengths of the causal mask for the block's first and last row, and for the warp's.
  const int seen = a.lengths[block.sequence] - block.left + 1, last_seen = seen + block.rows - 1;
  const int warp_row = warp * Tile::kRows, warp_rows = min(Tile::kRows, block.rows - warp_row);
  const int warp_seen = seen + warp_row, warp_last_seen = warp_seen + warp_rows - 1;
  const float* const queries = memory.queries + warp_row * quads * kQuad;
  float* const probabilities = memory.probabilities + warp * Tile::kKeys * Tile::kRows;
  RunningRows<Tile> rows;
#pragma unroll
  for (int r = 0; r < Tile::kRows; ++r) {
    rows.maximum[r] = -INFINITY;  // the first tile has a key for every row
    rows.total[r] = 0.0f;
#pragma unroll
    for (int i = 0; i < Tile::kQuads; ++i)
#pragma unroll
      for (int c = 0; c < kQuad; ++c) rows.out[r][i][c] = 0.0f;
  }
  for (int first = 0; first < last_seen; first += Tile::kKeys) {
    __syncthreads();  // the last tile in shared memory has been read by all
    stage_keys<Tile, kPacks>(memory, a, block.sequence, first, min(Tile::kKeys, last_seen - first), kv_channel);
    __syncthreads();
    if (warp_rows <= 0 || first >= warp_last_seen) continue;
    float score[Tile::kLaneKeys][Tile::kRows];
    score_tile<Tile>(score, queries, memory.keys, quads);
    softmax_tile<Tile>(score, rows, probabilities, warp_seen - first, a.scale);
    __syncwarp();
    add_values<Tile, kPacks>(rows, probabilities, memory.rows, min(Tile::kKeys, warp_last_seen - first), a.keys.v + kv_channel, a.keys.v_stride, d);
    __syncwarp();
  }
#pragma unroll
  for (int r = 0; r < Tile::kRows; ++r) {
    const float total = warp_sum(rows.total[r]);
    if (r < warp_rows) store_row<Tile>(rows, r, total, a.out + (block.first_row + warp_row + r) * a.out_stride + head * d, d);
  }
}

template <class Tile, class T>
void launch_prefill(const PrefillArguments<T>& a, int64_t blocks, bool packs, cudaStream_t stream) {
  const auto kernel = packs ? attention_prefill_kernel<Tile, true, T> : attention_prefill_kernel<Tile, false, T>;
  launch(kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(a.heads)), dim3(kPrefillThreads),
         PrefillMemory<Tile>::bytes(quads_of(a.head_dim)), stream, a);
}

template <class T>
void attend_prefill(const PrefillArguments<T>& a, int64_t blocks, bool packs, cudaStream_t stream) {
  if (a.head_dim <= NarrowTile::kMostChannels) launch_prefill<NarrowTile>(a, blocks, packs, stream);
  else launch_prefill<WideTile>(a, blocks, packs, stream);
}

}  // namespace limo::cuda
