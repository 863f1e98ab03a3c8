#pragma once

#include "cpu/attention_blocks.h"
#include "cpu/context.h"

// Attention of a block of query rows to blocks of keys with an online softmax, for any way of laying keys out.
namespace limo::LIMO_ISA {

// Query heads of a group share one packing of the keys. Their accumulators lie in working memory: at most this many floats.
constexpr int64_t kSumFloats = 1 << 18;

static_assert((2 * kSumFloats + 2 * kMostKeys * kMostColumns + kMostQueries * kMostKeys) * 4 <= kScratchBytesPerThread);

// Heads of `dim` channels that fit.
template <class U>
LIMO_INLINE int64_t heads_per_packing(int64_t heads, int64_t dim) {
  return smaller(heads, kSumFloats / (Blocks<U>::kQueries * (dim + kLanes + 1)));
}

// Element type of a row of probabilities as the product with V reads it: bfloat16 where pairs are multiplied.
template <class U>
using Probability = std::conditional_t<std::is_same_v<U, Pair>, Bf16, float>;

// One step of the online softmax for a row: turns scores into exp(scale·score − max) in place, as probabilities from the
// row's start, zero from `visible` up to `keys` and the next whole vector, and brings the row's running maximum and its sum, lane
// by lane, up to date. Returns the factor for what was summed before.
template <class P>
LIMO_INLINE float softmax_step(float* scores, int64_t visible, int64_t keys, float scale, float& row_max, float* row_sum) {
  const Vec scale_vec = splat(scale);
  // The largest score before scaling: the scale is positive.
  Vec largest = splat(scores[0]);
  int64_t i = 0;
  for (; i + kLanes <= visible; i += kLanes) largest = maximum(largest, load(scores + i));
  float max = reduce_max(largest);
  for (; i < visible; ++i) max = scores[i] > max ? scores[i] : max;
  max *= scale;
  float factor = 1;
  if (row_max >= max) {
    max = row_max;
  } else {
    factor = first_lane(exponential(splat(row_max - max)));
    row_max = max;
  }

  const Vec shift = splat(max);
  P* const p = reinterpret_cast<P*>(scores);
  Vec sum = load(row_sum) * splat(factor);
  for (i = 0; i + kLanes <= visible; i += kLanes) {
    const Vec e = exponential(load(scores + i) * scale_vec - shift);
    store(p + i, e);
    sum += e;
  }
  if (i < visible) {  // the row has room for whole vectors
    const Vec e = visible_lanes(exponential(load(scores + i) * scale_vec - shift), i, visible);
    store(p + i, e);
    sum += e;
    i += kLanes;
  }
  for (; i < keys; i += kLanes) store(p + i, Vec{});
  store(row_sum, sum);
  return factor;
}

LIMO_INLINE void scale_row(float* row, int64_t n, float factor) {
  for_lanes(
      n, [&](int64_t i) { store(row + i, load(row + i) * splat(factor)); },
      [&](int64_t i, int64_t rest) { store_partial(row + i, load_partial(row + i, rest) * splat(factor), rest); });
}

// Rows of queries of some heads, at most Blocks::kQueries of each: q + r·row_stride + h·head_stride. Row r sees the keys before
// `seen` + r·seen_step.
template <class T>
struct QueryRows {
  const T* q;
  int64_t row_stride, head_stride, heads, rows, dim;
  int64_t seen, seen_step;
  float scale;
};

// Keys [first, first + count) of a sequence and their values, at most Blocks::kKeys.
template <class T>
struct KeyBlock {
  const T *k, *v;
  int64_t k_stride, v_stride, first, count;
};

// The result: Σ exp(score − max)·v of row r of head h, its max and its Σ exp(score − max).
struct AttendedRows {
  const float* sums;
  const float* row_max;
  const float* row_sum;  // lane by lane
  int64_t dim, rows_of_head;

  LIMO_INLINE const float* sum(int64_t h, int64_t r) const { return sums + (h * rows_of_head + r) * dim; }
  LIMO_INLINE float max(int64_t h, int64_t r) const { return row_max[h * rows_of_head + r]; }
  LIMO_INLINE float total(int64_t h, int64_t r) const { return reduce_add(load(row_sum + (h * rows_of_head + r) * kLanes)); }
};

// Attends to the blocks key_block(0) … key_block(blocks − 1), in order; the first has a key for every row. The result lies in scratch.
template <class T, class KeyBlockAt>
LIMO_INLINE AttendedRows attend_rows(const QueryRows<T>& query, int64_t blocks, const KeyBlockAt& key_block, float* scratch) {
  using U = Unit<T>;
  using P = Probability<U>;
  constexpr int64_t kQueries = Blocks<U>::kQueries, kKeys = Blocks<U>::kKeys;
  const int64_t heads = query.heads, dim = query.dim, dim_units = units_of<U>(dim);
  float* const sums = scratch;                                            // [heads, kQueries, D]
  U* const q_room = reinterpret_cast<U*>(sums + heads * kQueries * dim);  // [heads, kQueries, D]
  U* const packed_k = q_room + heads * kQueries * dim_units;
  U* const packed_v = packed_k + packed_size(kKeys, dim_units);
  float* const scores = reinterpret_cast<float*>(packed_v + packed_size(dim, units_of<U>(kKeys)));
  float* const row_max = scores + kQueries * kKeys;   // [heads, kQueries]
  float* const row_sum = row_max + heads * kQueries;  // [heads, kQueries, kLanes]
  for (int64_t i = 0; i < heads * kQueries; ++i) {
    row_max[i] = -__builtin_inff();  // a score may be below any finite start; the first block always has one
    store(row_sum + i * kLanes, Vec{});
  }
  const bool in_place = reads_in_place<T>(query.row_stride, dim);
  for (int64_t h = 0; h < heads && !in_place; ++h)
    copy_rows(q_room + h * kQueries * dim_units, query.q + h * query.head_stride, query.row_stride, query.rows, dim);

  for (int64_t number = 0; number < blocks; ++number) {
    const KeyBlock<T> block = key_block(number);
    const int64_t keys = units_of<U>(block.count) * kPerUnit<U>;
    pack_b(packed_k, block.k, 1, block.k_stride, dim, block.count);
    pack_b(packed_v, block.v, block.v_stride, 1, block.count, dim);
    for (int64_t h = 0; h < heads; ++h) {
      U* const room = q_room + h * kQueries * dim_units;
      const BlockOfA<U> q = in_place ? read_rows(query.q + h * query.head_stride, query.row_stride, query.rows, dim, room)
                                     : BlockOfA<U>{room, dim_units, 1};
      multiply_packed(PackedProduct<U, float>{.m = query.rows, .n = block.count, .k = dim_units, .a = q.a, .a_row_stride = q.row_stride,
                                              .a_k_stride = 1, .packed_b = packed_k, .c = scores, .c_stride = kKeys, .is_cached = true});
      float* const sum = sums + h * kQueries * dim;
      for (int64_t r = 0; r < query.rows; ++r) {
        const int64_t visible = smaller(block.count, query.seen + r * query.seen_step - block.first);
        const int64_t row = h * kQueries + r;
        if (visible <= 0) {  // a block of keys entirely after this row
          __builtin_memset(scores + r * kKeys, 0, kKeys * 4);
          continue;
        }
        const float factor = softmax_step<P>(scores + r * kKeys, visible, keys, query.scale, row_max[row], row_sum + row * kLanes);
        if (number > 0 && factor != 1.0f) scale_row(sum + r * dim, dim, factor);
      }
      multiply_packed(PackedProduct<U, float>{.m = query.rows, .n = dim, .k = units_of<U>(block.count),
                                              .a = reinterpret_cast<const U*>(scores), .a_row_stride = kKeys, .a_k_stride = 1,
                                              .packed_b = packed_v, .c = sum, .c_stride = dim,
                                              .addend = number > 0 ? sum : nullptr, .addend_stride = dim, .is_cached = true});
    }
  }
  return {sums, row_max, row_sum, dim, kQueries};
}

// body(block, kv_head, head, heads, thread) for every block of queries of packed sequences and every query head: `heads` heads of one
// group from `head` on, as many as share one packing of its keys.
template <class T, class Body>
LIMO_INLINE void for_query_blocks(const CpuContext& context, const Tensor& cu_seqlens, int64_t kv_heads, int64_t group, int64_t dim,
                                  const Body& body) {
  using U = Unit<T>;
  constexpr int64_t kQueries = Blocks<U>::kQueries;
  const int64_t shared_heads = heads_per_packing<U>(group, dim), parts = blocks_of(group, shared_heads);
  const int64_t blocks = count_blocks(cu_seqlens, kQueries);
  parallel_for(context.pool, blocks * kv_heads * parts, [&](int64_t task, int thread) {
    // Longest tasks first: the last blocks of a sequence see the most keys, and no thread should end with a straggler.
    const RowBlock block = row_block(cu_seqlens, kQueries, blocks - 1 - task / (kv_heads * parts));
    const int64_t kv_head = task % kv_heads, part = task / kv_heads % parts;
    body(block, kv_head, kv_head * group + part * shared_heads, smaller(shared_heads, group - part * shared_heads), thread);
  });
}

}  // namespace limo::LIMO_ISA
