#include "ops/attention.h"

#include <cmath>

#include "cpu/attention_blocks.h"
#include "cpu/blocks.h"

namespace limo::LIMO_ISA {
namespace {

// Query heads of a group that share one packing of the keys keep their sums here: at most this many floats.
constexpr int64_t kSumFloats = 1 << 18;

static_assert((2 * kSumFloats + 2 * kMostKeys * kMostColumns + kMostQueries * kMostKeys) * 4 <= kScratchBytesPerThread);

// What a product takes from a row of scores: bfloat16 where it multiplies pairs.
template <class U>
using Probability = std::conditional_t<std::is_same_v<U, Pair>, Bf16, float>;

// One step of the online softmax for a row: turns scores into exp(scale·score − max) in place, as probabilities from the
// row's start, zero from `visible` up to the next whole vector of keys, and brings the row's running maximum and its sum, lane
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

// All query heads [head, head + heads) of one key/value head for one block of queries.
template <class T>
void attend_block(const Attention& op, const RowBlock& block, int64_t head, int64_t heads, int64_t kv_head, float* scratch) {
  using U = Unit<T>;
  using P = Probability<U>;
  constexpr int64_t kQueries = Blocks<U>::kQueries, kKeys = Blocks<U>::kKeys;
  const int64_t dim = static_cast<int64_t>(op.head_dim), dim_units = units_of<U>(dim);
  const float scale = static_cast<float>(op.scale);
  float* const sums = scratch;                                                    // [heads, kQueries, D]
  U* const q_room = reinterpret_cast<U*>(sums + heads * kQueries * dim);          // [heads, kQueries, D]
  U* const packed_k = q_room + heads * kQueries * dim_units;
  U* const packed_v = packed_k + packed_size(kKeys, dim_units);
  float* const scores = reinterpret_cast<float*>(packed_v + packed_size(dim, units_of<U>(kKeys)));
  float* const row_max = scores + kQueries * kKeys;   // [heads, kQueries]
  float* const row_sum = row_max + heads * kQueries;  // [heads, kQueries, kLanes]
  for (int64_t i = 0; i < heads * kQueries; ++i) {
    row_max[i] = -__builtin_inff();  // a score may be below any finite start; the first block always has one
    store(row_sum + i * kLanes, Vec{});
  }
  const auto queries_of = [&](int64_t h) {
    return op.q.row<T>(block.first) + (head + h) * dim;
  };
  const bool in_place = reads_in_place<T>(op.q.row_stride, dim);
  for (int64_t h = 0; h < heads && !in_place; ++h)
    copy_rows(q_room + h * kQueries * dim_units, queries_of(h), op.q.row_stride, block.rows, dim);

  const int64_t end = block.first + block.rows;
  for (int64_t first_key = block.sequence_start; first_key < end; first_key += kKeys) {
    const int64_t keys = smaller(kKeys, end - first_key);
    pack_b(packed_k, op.k.row<T>(first_key) + kv_head * dim, 1, op.k.row_stride, dim, keys);
    pack_b(packed_v, op.v.row<T>(first_key) + kv_head * dim, op.v.row_stride, 1, keys, dim);
    const bool first_block = first_key == block.sequence_start;
    for (int64_t h = 0; h < heads; ++h) {
      const BlockOfA<U> q = in_place ? read_rows(queries_of(h), op.q.row_stride, block.rows, dim, q_room)
                                     : BlockOfA<U>{q_room + h * kQueries * dim_units, dim_units, 1};
      multiply_packed(PackedProduct<U, float>{.m = block.rows, .n = keys, .k = dim_units, .a = q.a, .a_row_stride = q.row_stride,
                                              .a_k_stride = 1, .packed_b = packed_k, .c = scores, .c_stride = kKeys, .is_cached = true});
      float* const sum = sums + h * kQueries * dim;
      for (int64_t r = 0; r < block.rows; ++r) {
        const int64_t visible = smaller(keys, block.first + r - first_key + 1);
        const int64_t row = h * kQueries + r;
        if (visible <= 0) {  // a block of keys entirely after this row
          __builtin_memset(scores + r * kKeys, 0, kKeys * 4);
          continue;
        }
        const float factor = softmax_step<P>(scores + r * kKeys, visible, keys, scale, row_max[row], row_sum + row * kLanes);
        if (!first_block && factor != 1.0f) scale_row(sum + r * dim, dim, factor);
      }
      multiply_packed(PackedProduct<U, float>{.m = block.rows, .n = dim, .k = units_of<U>(keys),
                                              .a = reinterpret_cast<const U*>(scores), .a_row_stride = kKeys, .a_k_stride = 1,
                                              .packed_b = packed_v, .c = sum, .c_stride = dim,
                                              .addend = first_block ? nullptr : sum, .addend_stride = dim, .is_cached = true});
    }
  }
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t r = 0; r < block.rows; ++r) {
      const int64_t row = h * kQueries + r;
      const float sum = reduce_add(load(row_sum + row * kLanes));
      store_scaled(op.out.row<T>(block.first + r) + (head + h) * dim, sums + row * dim, dim, 1.0f / sum);
      op.lse.row(block.first + r)[head + h] = row_max[row] + ::logf(sum);
    }
}

template <class T>
void attend(const Attention& op, const CpuContext& context) {
  constexpr int64_t kQueries = Blocks<Unit<T>>::kQueries;
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  const int64_t kv_heads = op.k.cols / dim, group = op.q.cols / op.k.cols;
  const int64_t together = smaller(group, kSumFloats / (kQueries * (dim + kLanes + 1)));
  const int64_t parts = blocks_of(group, together);
  const int64_t blocks = count_blocks(op.cu_seqlens, kQueries);
  parallel_for(context.pool, blocks * kv_heads * parts, [&](int64_t task, int thread) {
    // The last blocks of a sequence see the most keys: take them first, so that no thread ends with a long one.
    const RowBlock block = row_block(op.cu_seqlens, kQueries, blocks - 1 - task / (kv_heads * parts));
    const int64_t kv_head = task % kv_heads, part = task / kv_heads % parts;
    attend_block<T>(op, block, kv_head * group + part * together, smaller(together, group - part * together), kv_head,
                    context.thread_scratch(thread));
  });
}

}  // namespace

void run(const Attention& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { attend<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
