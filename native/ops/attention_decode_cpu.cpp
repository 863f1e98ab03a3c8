#include "ops/attention_decode.h"

#include "cpu/attention_rows.h"
#include "cpu/blocks.h"
#include "cpu/dot.h"

namespace limo::LIMO_ISA {
namespace {

// The keys of a sequence of `length` tokens, page by page.
template <class T, class Op>
struct Pages {
  const Op& op;
  const int32_t* pages;
  int64_t length, kv_head;

  LIMO_INLINE KeyBlock<T> operator()(int64_t number) const {
    const int64_t page_size = static_cast<int64_t>(op.page_size), dim = static_cast<int64_t>(op.head_dim);
    const int64_t row = pages[number] * page_size, first = number * page_size;
    return {op.k_cache.template row<T>(row) + kv_head * dim, op.v_cache.template row<T>(row) + kv_head * dim,
            op.k_cache.row_stride, op.v_cache.row_stride, first, smaller(page_size, length - first)};
  }
};

template <class T>
void append(const CacheAppend& op, const CpuContext& context) {
  const size_t bytes = static_cast<size_t>(op.k.cols) * sizeof(T);
  for_rows(context, op.k.rows, [&](int64_t t) {
    const int32_t slot = op.slots.i32()[t];
    __builtin_memcpy(op.k_cache.row<T>(slot), op.k.row<T>(t), bytes);
    __builtin_memcpy(op.v_cache.row<T>(slot), op.v.row<T>(t), bytes);
  });
}

// All query heads [head, head + heads) of one key/value head for one block of new tokens.
template <class T>
void prefill_block(const AttentionPrefill& op, const RowBlock& block, int64_t head, int64_t heads, int64_t kv_head, float* scratch) {
  const int64_t dim = static_cast<int64_t>(op.head_dim), page_size = static_cast<int64_t>(op.page_size);
  // Tokens of the sequence that the block's first row and its last one see.
  const int64_t seen = op.lengths.i32()[block.sequence] - (block.sequence_end - block.first) + 1, last_seen = seen + block.rows - 1;
  const QueryRows<T> query{op.q.row<T>(block.first) + head * dim, op.q.row_stride, dim, heads, block.rows, dim, seen, 1,
                           static_cast<float>(op.scale)};
  const Pages<T, AttentionPrefill> pages{op, op.page_table.row<int32_t>(block.sequence), last_seen, kv_head};
  const AttendedRows attended = attend_rows(query, blocks_of(last_seen, page_size), pages, scratch);
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t r = 0; r < block.rows; ++r)
      store_scaled(op.out.row<T>(block.first + r) + (head + h) * dim, attended.sum(h, r), dim, 1.0f / attended.total(h, r));
}

template <class T>
void prefill(const AttentionPrefill& op, const CpuContext& context) {
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  for_query_blocks<T>(context, op.cu_seqlens, op.k_cache.cols / dim, op.q.cols / op.k_cache.cols, dim,
                      [&](const RowBlock& block, int64_t kv_head, int64_t head, int64_t heads, int thread) {
                        prefill_block<T>(op, block, head, heads, kv_head, context.thread_scratch(thread));
                      });
}

// One split: a piece of the keys of one row, for one key/value head.
struct Piece {
  int64_t row, split, kv_head;
};

LIMO_INLINE Piece piece_of(const int32_t* lengths, int64_t kv_heads, int64_t number) {
  Piece piece{0, number / kv_heads, number % kv_heads};
  for (; piece.split >= decode_splits(lengths[piece.row]); ++piece.row) piece.split -= decode_splits(lengths[piece.row]);
  return piece;
}

// Layout of a row of `partial`: weighted sums of values of every head, then their maxima, then their sums of exponentials.
LIMO_INLINE float* partial_row(const AttentionDecode& op, int64_t row, int64_t split) {
  const int64_t most = decode_splits(op.page_table.cols * static_cast<int64_t>(op.page_size));
  return op.partial.row(row * most + split);
}

// Heads of a group that share one pass over the keys, and the register tile of accumulators for values.
constexpr int64_t kHeadsTogether = 8;
constexpr int kTileHeads = 2, kTileVectors = 4;
// Pitch of scores between heads: whole vectors are stored from any key on.
constexpr int64_t kScoreStride = kDecodeSplitKeys + kLanes;
static_assert((kHeadsTogether * (kScoreStride + kMaxHeadDim) + kLanes * kMaxHeadDim) * 4 <= kScratchBytesPerThread);

// q·k of some heads with n ≤ kLanes keys: scores[h·kScoreStride + j]. The other lanes are 0 until the next keys come.
template <class T>
LIMO_INLINE void score_keys(float* scores, const Factors<T>& q, int64_t heads, const Factors<T>& k, int64_t n, int64_t dim) {
  for (int64_t h = 0; h < heads; ++h) {
    const Factor<T>* const query = q.first + h * q.stride;
    Vec sums[kLanes] = {};
    for (int64_t d = 0; d < dim; d += kStep<T>) {
      const int64_t width = smaller(kStep<T>, dim - d);
      if (n == kLanes && width == kStep<T>) {
#pragma GCC unroll 16
        for (int j = 0; j < kLanes; ++j) sums[j] = multiply_step(query + d, k.first + j * k.stride + d, kStep<T>, sums[j]);
      } else {
        for (int64_t j = 0; j < n; ++j) sums[j] = multiply_step(query + d, k.first + j * k.stride + d, width, sums[j]);
      }
    }
    store(scores + h * kScoreStride, reduce_add_each(sums));
  }
}

// sums[h·dim + d] = Σ_j weights[h·kScoreStride + j]·v_j[d] over the keys of all pages, for Heads heads and Vectors vectors of d, the
// last with `width` lanes.
template <int Heads, int Vectors, class T, class Op>
LIMO_INLINE void add_values(float* sums, const float* weights, const Pages<T, Op>& pages, int64_t dim, int64_t d, int64_t width) {
  Vec sum[Heads][Vectors] = {};
  for (int64_t number = 0, first = 0; first < pages.length; ++number) {
    const KeyBlock<T> block = pages(number);
    for (int64_t j = 0; j < block.count; ++j) {
      const T* const value = block.v + j * block.v_stride + d;
      Vec v[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors; ++i) v[i] = i + 1 < Vectors || width == kLanes ? load(value + i * kLanes) : load_partial(value + i * kLanes, width);
#pragma GCC unroll 2
      for (int h = 0; h < Heads; ++h) {
        const Vec weight = splat(weights[h * kScoreStride + first + j]);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) sum[h][i] += weight * v[i];
      }
    }
    first += block.count;
  }
  for (int h = 0; h < Heads; ++h)
    for (int i = 0; i < Vectors; ++i) {
      float* const to = sums + h * dim + d + i * kLanes;
      if (i + 1 < Vectors || width == kLanes) store(to, sum[h][i]);
      else store_partial(to, sum[h][i], width);
    }
}

template <int Heads, class T, class Op>
LIMO_INLINE void add_all_values(float* sums, const float* weights, const Pages<T, Op>& pages, int64_t dim) {
  int64_t d = 0;
  for (; d + kTileVectors * kLanes <= dim; d += kTileVectors * kLanes) add_values<Heads, kTileVectors>(sums, weights, pages, dim, d, kLanes);
  for (; d < dim; d += kLanes) add_values<Heads, 1>(sums, weights, pages, dim, d, smaller(kLanes, dim - d));
}

// The query heads of a group see the same keys. Keys and values are not packed: with so few rows of queries packing would take longer than
// the products.
template <class T>
void attend_piece(const AttentionDecode& op, const Piece& piece, float* scratch) {
  const int64_t dim = static_cast<int64_t>(op.head_dim), page_size = static_cast<int64_t>(op.page_size);
  const int64_t group = op.q.cols / op.k_cache.cols, all_heads = op.q.cols / dim;
  const int64_t first = piece.split * kDecodeSplitKeys, length = smaller(kDecodeSplitKeys, op.lengths.i32()[piece.row] - first);
  const Pages<T, AttentionDecode> pages{op, op.page_table.row<int32_t>(piece.row) + first / page_size, length, piece.kv_head};
  float* const partial = partial_row(op, piece.row, piece.split);
  float* const scores = scratch;                                // [kHeadsTogether, kScoreStride]
  float* const q_room = scores + kHeadsTogether * kScoreStride;  // [kHeadsTogether, D]
  float* const k_room = q_room + kHeadsTogether * dim;          // [kLanes, D]
  for (int64_t done = 0; done < group; done += kHeadsTogether) {
    const int64_t head = piece.kv_head * group + done, heads = smaller(kHeadsTogether, group - done);
    const Factors<T> q = factors_of(op.q.row<T>(piece.row) + head * dim, dim, heads, dim, q_room);
    for (int64_t number = 0, at = 0; at < length; ++number) {
      const KeyBlock<T> block = pages(number);
      for (int64_t j = 0; j < block.count; j += kLanes) {
        const int64_t n = smaller(kLanes, block.count - j);
        score_keys<T>(scores + at + j, q, heads, factors_of(block.k + j * block.k_stride, block.k_stride, n, dim, k_room), n, dim);
      }
      at += block.count;
    }
    float* const sums = partial + head * dim;
    for (int64_t h = 0; h < heads; ++h) {
      float max = -__builtin_inff(), total[kLanes] = {};
      softmax_step<float>(scores + h * kScoreStride, length, length, static_cast<float>(op.scale), max, total);
      partial[op.q.cols + head + h] = max;
      partial[op.q.cols + all_heads + head + h] = reduce_add(load(total));
    }
    int64_t h = 0;
    for (; h + kTileHeads <= heads; h += kTileHeads)
      add_all_values<kTileHeads>(sums + h * dim, scores + h * kScoreStride, pages, dim);
    for (; h < heads; ++h) add_all_values<1>(sums + h * dim, scores + h * kScoreStride, pages, dim);
  }
}

// Combines the partial results of a row and head, in order, in place of the first.
template <class T>
void join_pieces(const AttentionDecode& op, int64_t row, int64_t head) {
  const int64_t dim = static_cast<int64_t>(op.head_dim), all_heads = op.q.cols / dim, splits = decode_splits(op.lengths.i32()[row]);
  const auto max_of = [&](int64_t split) { return partial_row(op, row, split)[op.q.cols + head]; };
  float max = max_of(0);
  for (int64_t split = 1; split < splits; ++split) max = max_of(split) > max ? max_of(split) : max;
  float* const sum = partial_row(op, row, 0) + head * dim;
  float total = 0;
  for (int64_t split = 0; split < splits; ++split) {
    const float* const part = partial_row(op, row, split);
    const float factor = first_lane(exponential(splat(max_of(split) - max)));
    total += factor * part[op.q.cols + all_heads + head];
    if (split == 0) scale_row(sum, dim, factor);
    else
      for_lanes(
          dim, [&](int64_t i) { store(sum + i, load(part + head * dim + i) * splat(factor) + load(sum + i)); },
          [&](int64_t i, int64_t n) {
            store_partial(sum + i, load_partial(part + head * dim + i, n) * splat(factor) + load_partial(sum + i, n), n);
          });
  }
  store_scaled(op.out.row<T>(row) + head * dim, sum, dim, 1.0f / total);
}

template <class T>
void decode(const AttentionDecode& op, const CpuContext& context) {
  const int64_t dim = static_cast<int64_t>(op.head_dim), kv_heads = op.k_cache.cols / dim, heads = op.q.cols / dim;
  int64_t pieces = 0;
  for (int64_t row = 0; row < op.q.rows; ++row) pieces += decode_splits(op.lengths.i32()[row]);
  parallel_for(context.pool, pieces * kv_heads, [&](int64_t task, int thread) {
    attend_piece<T>(op, piece_of(op.lengths.i32(), kv_heads, task), context.thread_scratch(thread));
  });
  for_rows(context, op.q.rows, [&](int64_t row) {
    for (int64_t head = 0; head < heads; ++head) join_pieces<T>(op, row, head);
  });
}

}  // namespace

void run(const CacheAppend& op, const CpuContext& context) {
  with_element(op.k.dtype, [&](auto element) { append<decltype(element)>(op, context); });
}

void run(const AttentionPrefill& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { prefill<decltype(element)>(op, context); });
}

void run(const AttentionDecode& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { decode<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
