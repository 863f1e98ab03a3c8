#include <algorithm>
#include <bit>
#include <vector>

#include "cuda/attention/prefill.h"
#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/attention_decode.h"

namespace limo::cuda {
namespace {

// ---- cache_append ----

// A thread copies N numbers of a row of keys and the same of values.
template <class T, int N>
struct AppendRows {
  using Index = uint32_t;
  T *k_cache, *v_cache;
  const T *k, *v;
  const int32_t* slots;
  int64_t k_cache_stride, v_cache_stride, k_stride, v_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const int64_t row = i / packs_per_row, column = i % packs_per_row * N, slot = slots[row];
    float x[N];
    load<N>(x, k + row * k_stride + column);
    store<N>(k_cache + slot * k_cache_stride + column, x);
    load<N>(x, v + row * v_stride + column);
    store<N>(v_cache + slot * v_cache_stride + column, x);
  }
};

// ---- attention_decode: the pieces of the keys, each with a softmax of its own, then all pieces of a row together ----

constexpr int kDecodeThreads = 128, kDecodeWarps = kDecodeThreads / 32;
// Minimum of thread blocks per multiprocessor: it leaves a thread the registers for the accumulators of eight heads.
constexpr int kDecodeBlocks = 4;
constexpr int kSplitKeys = static_cast<int>(kDecodeSplitKeys);
// Lanes that share a key: together they load 64 bytes of it at once, then add up their partial dot products.
constexpr int kLanesOfKey = 4, kKeysOfWarp = 32 / kLanesOfKey;
// Most query heads of a group in one block: further heads read the keys again.
constexpr int kMostHeads = 8;

// One split: a piece of the keys of one row.
struct Piece {
  int32_t row, split;
};

template <class T>
struct DecodeArguments {
  float* partial;  // a row for each row and split: sums of every head, their maxima before the scale, and their totals
  const T* q;
  PagedKeys<T> keys;
  const int32_t* lengths;
  const Piece* pieces;
  int64_t partial_stride, q_stride;
  int heads, group, head_dim, most_splits;
  float scale;
};

int packs_of(int head_dim) { return (head_dim + kPackSize - 1) / kPackSize; }

// Shared memory of a block: rows of the keys in the cache, then queries and scores; later, in place of queries and scores, the partial sums
// of each group of threads.
constexpr size_t kRowBytes = kSplitKeys * sizeof(int64_t);
size_t decode_shared_bytes(int heads, int head_dim) {
  const int packs = packs_of(head_dim), columns = packs * kPackSize;
  return kRowBytes + static_cast<size_t>(heads) * static_cast<size_t>(std::max(columns + kSplitKeys, kDecodeThreads / packs * columns)) * sizeof(float);
}

// scores[h][key] = Σ_c q[h][c]·k[key][c]
template <int kHeads, bool kPacks, class T>
LIMO_DEVICE void score_keys(float* scores, const float* queries, const int64_t* rows, int count, const T* k, int64_t k_stride, int head_dim) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32), part = lane % kLanesOfKey;
  const int columns = (head_dim + kPackSize - 1) / kPackSize * kPackSize;
  for (int first = warp * kKeysOfWarp; first < count; first += kDecodeWarps * kKeysOfWarp) {
    const int key = first + lane / kLanesOfKey;
    float sum[kHeads] = {};
    const T* const row = k + (key < count ? rows[key] : rows[first]) * k_stride;
#pragma unroll 4
    for (int c = part * kPackSize; c < head_dim; c += kLanesOfKey * kPackSize) {
      float x[kPackSize];
      load_padded<kPackSize, kPacks>(x, row, c, head_dim);
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        float q[kPackSize];
        load<kPackSize>(q, queries + h * columns + c);
#pragma unroll
        for (int i = 0; i < kPackSize; ++i) sum[h] = fmaf(q[i], x[i], sum[h]);
      }
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
#pragma unroll
      for (int lanes = kLanesOfKey / 2; lanes > 0; lanes /= 2) sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], lanes);
      if (part == 0 && key < count) scores[h * kSplitKeys + key] = sum[h];
    }
  }
}

// sum[h] = Σ_key p[h][key]·v[key], a pack of channels a thread, over its share of the keys.
template <int kHeads, bool kPacks, class T>
LIMO_DEVICE void sum_values(float (&sum)[kHeads][kPackSize], const float* p, const int64_t* rows, int first, int step, int count, const T* v,
                            int64_t v_stride, int channel, int head_dim) {
#pragma unroll 4
  for (int key = first; key < count; key += step) {
    float x[kPackSize];
    load_padded<kPackSize, kPacks>(x, v + rows[key] * v_stride, channel, head_dim);
#pragma unroll
    for (int h = 0; h < kHeads; ++h)
#pragma unroll
      for (int i = 0; i < kPackSize; ++i) sum[h][i] = fmaf(p[h * kSplitKeys + key], x[i], sum[h][i]);
  }
}

// A block has a piece of the keys of one row for some query heads of one key/value head.
template <int kHeads, bool kPacks, class T>
__global__ void __launch_bounds__(kDecodeThreads, kDecodeBlocks) attention_decode_kernel(DecodeArguments<T> a) {
  LIMO_DYNAMIC_SHARED(shared);
  const int d = a.head_dim, packs = (d + kPackSize - 1) / kPackSize, columns = packs * kPackSize;
  int64_t* const rows = reinterpret_cast<int64_t*>(shared);           // [kSplitKeys], of the cache
  float* const queries = reinterpret_cast<float*>(shared + kRowBytes);  // [kHeads, columns]
  float* const scores = queries + kHeads * columns;                   // [kHeads, kSplitKeys]
  const Piece piece = a.pieces[blockIdx.x];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int kv_head = static_cast<int>(blockIdx.y), done = static_cast<int>(blockIdx.z) * kHeads;
  const int first_head = kv_head * a.group + done, heads = min(kHeads, a.group - done);
  const int first_key = piece.split * kSplitKeys, count = min(kSplitKeys, a.lengths[piece.row] - first_key);
  for (int key = thread; key < count; key += kDecodeThreads) rows[key] = a.keys.row_of(piece.row, first_key + key);
  const T* const q = a.q + piece.row * a.q_stride + first_head * d;
  for (int i = thread; i < kHeads * columns; i += kDecodeThreads) {
    const int h = i / columns, c = i % columns;
    queries[i] = h < heads && c < d ? widen(q[h * d + c]) : 0.0f;
  }
  __syncthreads();
  score_keys<kHeads, kPacks>(scores, queries, rows, count, a.keys.k + kv_head * d, a.keys.k_stride, d);
  __syncthreads();

  float* const partial = a.partial + (static_cast<int64_t>(piece.row) * a.most_splits + piece.split) * a.partial_stride;
  for (int h = warp; h < heads; h += kDecodeWarps) {
    float* const p = scores + h * kSplitKeys;
    float maximum = -INFINITY, total = 0.0f;
    for (int key = lane; key < count; key += 32) maximum = fmaxf(maximum, p[key]);
    maximum = warp_maximum(maximum);
    // The maximum is subtracted before the scale is applied: at scores around 1e32 a fused scale·score − scale·maximum would be a rounding
    // error far from 0, even at the maximum.
    for (int key = lane; key < count; key += 32) total += p[key] = expf((p[key] - maximum) * a.scale);
    total = warp_sum(total);
    if (lane != 0) continue;
    partial[a.heads * d + first_head + h] = maximum;
    partial[a.heads * d + a.heads + first_head + h] = total;
  }
  __syncthreads();

  const int groups = kDecodeThreads / packs, group = thread / packs, channel = thread % packs * kPackSize;
  float sum[kHeads][kPackSize] = {};
  if (group < groups)
    sum_values<kHeads, kPacks>(sum, scores, rows, group, groups, count, a.keys.v + kv_head * d, a.keys.v_stride, channel, d);
  __syncthreads();
  float* const sums = queries;  // [groups, kHeads, columns]
  if (group < groups)
#pragma unroll
    for (int h = 0; h < kHeads; ++h) store<kPackSize>(sums + (group * kHeads + h) * columns + channel, sum[h]);
  __syncthreads();
  for (int i = thread; i < heads * d; i += kDecodeThreads) {
    const int at = i / d * columns + i % d;
    float all = sums[at];
    for (int g = 1; g < groups; ++g) all += sums[g * kHeads * columns + at];
    partial[first_head * d + i] = all;
  }
}

// Combines the splits of a row in order, a thread per channel.
template <class T>
struct JoinPieces {
  using Index = uint32_t;
  T* out;
  const float* partial;
  const int32_t* lengths;
  int64_t out_stride, partial_stride;
  uint32_t columns, head_dim, heads;
  int most_splits;
  float scale;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / columns, channel = i % columns, head = channel / head_dim;
    const int splits = (lengths[row] + kSplitKeys - 1) / kSplitKeys;
    const float* const first = partial + static_cast<int64_t>(row) * most_splits * partial_stride;
    float maximum = first[columns + head];
    for (int s = 1; s < splits; ++s) maximum = fmaxf(maximum, first[s * partial_stride + columns + head]);
    float sum = 0.0f, total = 0.0f;
    for (int s = 0; s < splits; ++s) {
      const float* const part = first + s * partial_stride;
      const float factor = expf((part[columns + head] - maximum) * scale);
      total = fmaf(factor, part[columns + heads + head], total);
      sum = fmaf(factor, part[channel], sum);
    }
    narrow(out[row * out_stride + channel], sum / total);
  }
};

std::vector<Piece> list_pieces(const int32_t* lengths, int64_t rows) {
  std::vector<Piece> pieces;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t split = 0; split < decode_splits(lengths[row]); ++split) pieces.push_back({static_cast<int32_t>(row), static_cast<int32_t>(split)});
  return pieces;
}

// ---- launchers ----

template <class T, class Op>
PagedKeys<T> paged_keys(const Op& op) {
  return {op.k_cache.template row<T>(0), op.v_cache.template row<T>(0), op.k_cache.row_stride, op.v_cache.row_stride, op.page_table.i32(),
          op.page_table.row_stride, std::countr_zero(static_cast<unsigned>(op.page_size))};
}

template <class Op>
bool keys_take_packs(const Op& op) {
  return static_cast<int>(op.head_dim) % kPackSize == 0 && takes_packs(op.k_cache) && takes_packs(op.v_cache);
}

template <int kHeads, class T>
void attend_pieces(const AttentionDecode& op, CudaContext& context, const DecodeArguments<T>& a, int64_t pieces) {
  const dim3 grid(static_cast<unsigned>(pieces), static_cast<unsigned>(a.heads / a.group), static_cast<unsigned>((a.group + kHeads - 1) / kHeads));
  const auto kernel = keys_take_packs(op) ? attention_decode_kernel<kHeads, true, T> : attention_decode_kernel<kHeads, false, T>;
  launch(kernel, grid, dim3(kDecodeThreads), decode_shared_bytes(kHeads, a.head_dim), context.stream(), a);
}

template <class T>
void decode(const AttentionDecode& op, CudaContext& context) {
  const auto pieces = context.list<Piece>(op.lengths, 0, [&] { return list_pieces(context.integers(op.lengths), op.lengths.rows); });
  const int d = static_cast<int>(op.head_dim), heads = static_cast<int>(op.q.cols) / d, group = static_cast<int>(op.q.cols / op.k_cache.cols);
  const int most_splits = static_cast<int>(decode_splits(op.page_table.cols * static_cast<int64_t>(op.page_size)));
  const DecodeArguments<T> a{op.partial.f32(), op.q.row<T>(0), paged_keys<T>(op), op.lengths.i32(), pieces.data, op.partial.row_stride, op.q.row_stride,
                             heads, group, d, most_splits, static_cast<float>(op.scale)};
  if (group <= 1) attend_pieces<1>(op, context, a, pieces.count);
  else if (group <= 2) attend_pieces<2>(op, context, a, pieces.count);
  else if (group <= 4) attend_pieces<4>(op, context, a, pieces.count);
  else attend_pieces<kMostHeads>(op, context, a, pieces.count);
  for_each(context, op.out.rows * op.out.cols,
           JoinPieces<T>{op.out.row<T>(0), op.partial.f32(), op.lengths.i32(), op.out.row_stride, op.partial.row_stride,
                         static_cast<uint32_t>(op.out.cols), static_cast<uint32_t>(d), static_cast<uint32_t>(heads), most_splits,
                         static_cast<float>(op.scale)});
}

template <class T>
void prefill(const AttentionPrefill& op, CudaContext& context) {
  const int d = static_cast<int>(op.head_dim);
  const int rows_per_block = prefill_rows(d);
  const auto blocks = context.list<PrefillBlock>(op.cu_seqlens, rows_per_block, [&] {
    return list_prefill_blocks(context.integers(op.cu_seqlens), op.cu_seqlens.rows, rows_per_block);
  });
  const PrefillArguments<T> a{op.out.row<T>(0), op.q.row<T>(0), paged_keys<T>(op), op.lengths.i32(), blocks.data, op.out.row_stride, op.q.row_stride,
                              static_cast<int>(op.q.cols) / d, static_cast<int>(op.q.cols / op.k_cache.cols), d, static_cast<float>(op.scale)};
  const bool packs = keys_take_packs(op) && takes_packs(op.q) && takes_packs(op.out);
  attend_prefill(a, blocks.count, packs, context.stream());
}

}  // namespace

template <>
size_t check_limits(const CacheAppend& op, const CudaContext&) {
  check_packs(op.k, takes_packs(op.k_cache) && takes_packs(op.v_cache) && takes_packs(op.k) && takes_packs(op.v));
  return 0;
}

template <>
size_t check_limits(const AttentionPrefill& op, const CudaContext&) {
  check_heads(op);
  const int64_t blocks = op.q.rows / prefill_rows(static_cast<int>(op.head_dim)) + op.cu_seqlens.rows;
  return static_cast<size_t>(blocks) * sizeof(PrefillBlock);
}

template <>
size_t check_limits(const AttentionDecode& op, const CudaContext&) {
  check_packs(op.out, false);
  check_heads(op);
  return static_cast<size_t>(op.q.rows * decode_splits(op.page_table.cols * static_cast<int64_t>(op.page_size))) * sizeof(Piece);
}

void run(const CacheAppend& op, CudaContext& context) {
  const bool packs = takes_packs(op.k_cache) && takes_packs(op.v_cache) && takes_packs(op.k) && takes_packs(op.v);
  with_pack(op.k.dtype, packs, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    for_each(context, op.k.rows * op.k.cols / N,
             AppendRows<T, N>{op.k_cache.row<T>(0), op.v_cache.row<T>(0), op.k.row<T>(0), op.v.row<T>(0), op.slots.i32(), op.k_cache.row_stride,
                              op.v_cache.row_stride, op.k.row_stride, op.v.row_stride, static_cast<uint32_t>(op.k.cols / N)});
  });
}

void run(const AttentionPrefill& op, CudaContext& context) {
  if (op.out.dtype == DType::kBF16) prefill<Bf16>(op, context);
  else prefill<float>(op, context);
}

void run(const AttentionDecode& op, CudaContext& context) {
  if (op.out.dtype == DType::kBF16) decode<Bf16>(op, context);
  else decode<float>(op, context);
}

}  // namespace limo::cuda
