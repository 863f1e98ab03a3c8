#include "ops/attention.h"

#include <cmath>

#include "cpu/blocks.h"
#include "cpu/gemm.h"

namespace limo::LIMO_ISA {
namespace {

// A block of scores (64 × 144 floats, 36 KB) stays in L1 and L2 between its products; 144 keys are three register tiles.
constexpr int64_t kQueryBlock = 64;
constexpr int64_t kKeyBlock = 144;
// Query heads of a group that share one packing of the keys keep their sums here: at most this many floats.
constexpr int64_t kSumFloats = 1 << 18;

static_assert((kSumFloats + 2 * kKeyBlock * (kMaxHeadDim + kLanes) + 2 * kQueryBlock * kKeyBlock + 4096) * 4 <= kScratchBytesPerThread);
static_assert((3 * kKeyBlock + 2 * kQueryBlock) * (kMaxHeadDim + kLanes) * 4 + 2 * kQueryBlock * kKeyBlock * 4 <= kScratchBytesPerThread);

LIMO_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LIMO_INLINE int64_t blocks_of(int64_t total, int64_t block) { return (total + block - 1) / block; }

// The sequence and the query block that task number `task` stands for; blocks count through the sequences in order.
struct QueryBlock {
  int64_t sequence_start, first, rows;
};

QueryBlock query_block(const Tensor& cu_seqlens, int64_t block) {
  const int32_t* starts = cu_seqlens.i32();
  for (int64_t s = 0; s + 1 < cu_seqlens.rows; ++s) {
    const int64_t blocks = blocks_of(starts[s + 1] - starts[s], kQueryBlock);
    if (block < blocks) {
      const int64_t first = starts[s] + block * kQueryBlock;
      return {starts[s], first, smaller(kQueryBlock, starts[s + 1] - first)};
    }
    block -= blocks;
  }
  return {0, 0, 0};
}

int64_t count_query_blocks(const Tensor& cu_seqlens) {
  const int32_t* starts = cu_seqlens.i32();
  int64_t blocks = 0;
  for (int64_t s = 0; s + 1 < cu_seqlens.rows; ++s) blocks += blocks_of(starts[s + 1] - starts[s], kQueryBlock);
  return blocks;
}

// One step of the online softmax for a row: turns scores into exp(scale·score − max), zero from `visible` on, and brings
// the row's running maximum and its sum, lane by lane, up to date. Returns the factor for what was summed before.
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
  Vec sum = load(row_sum) * splat(factor);
  for (i = 0; i + kLanes <= visible; i += kLanes) {
    const Vec e = exponential(load(scores + i) * scale_vec - shift);
    store(scores + i, e);
    sum += e;
  }
  if (i < visible) {
    float rest[kLanes] = {};
    store(rest, exponential(load_partial(scores + i, visible - i) * scale_vec - shift));
    for (int64_t j = visible - i; j < kLanes; ++j) rest[j] = 0;
    const Vec e = load(rest);
    store_partial(scores + i, e, visible - i);
    sum += e;
  }
  for (i = visible; i < keys; ++i) scores[i] = 0;
  store(row_sum, sum);
  return factor;
}

LIMO_INLINE void scale_row(float* row, int64_t n, float factor) {
  for_lanes(
      n, [&](int64_t i) { store(row + i, load(row + i) * splat(factor)); },
      [&](int64_t i, int64_t rest) { store_partial(row + i, load_partial(row + i, rest) * splat(factor), rest); });
}

// All query heads [head, head + heads) of one key/value head for one block of queries.
void attend_block(const Attention& op, const QueryBlock& block, int64_t head, int64_t heads, int64_t kv_head, float* scratch) {
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  const float scale = static_cast<float>(op.scale);
  float* sums = scratch;  // [heads, kQueryBlock, D]
  float* packed_k = sums + heads * kQueryBlock * dim;
  float* packed_v = packed_k + kKeyBlock * dim;
  float* scores = packed_v + packed_size(dim, kKeyBlock);
  float* row_max = scores + kQueryBlock * kKeyBlock;  // [heads, kQueryBlock]
  float* row_sum = row_max + heads * kQueryBlock;  // [heads, kQueryBlock, kLanes]
  for (int64_t i = 0; i < heads * kQueryBlock; ++i) {
    row_max[i] = -__builtin_inff();  // a score may be below any finite start; the first block always has one
    store(row_sum + i * kLanes, Vec{});
  }
  const int64_t end = block.first + block.rows;
  for (int64_t first_key = block.sequence_start; first_key < end; first_key += kKeyBlock) {
    const int64_t keys = smaller(kKeyBlock, end - first_key);
    pack_b(packed_k, op.k.row(first_key) + kv_head * dim, 1, op.k.row_stride, dim, keys);
    pack_b(packed_v, op.v.row(first_key) + kv_head * dim, op.v.row_stride, 1, keys, dim);
    const bool first_block = first_key == block.sequence_start;
    for (int64_t h = 0; h < heads; ++h) {
      multiply_packed({.m = block.rows, .n = keys, .k = dim, .a = op.q.row(block.first) + (head + h) * dim,
                       .a_row_stride = op.q.row_stride, .a_k_stride = 1, .packed_b = packed_k,
                       .c = scores, .c_stride = kKeyBlock, .accumulate = false});
      float* sum = sums + h * kQueryBlock * dim;
      for (int64_t r = 0; r < block.rows; ++r) {
        const int64_t visible = smaller(keys, block.first + r - first_key + 1);
        const int64_t row = h * kQueryBlock + r;
        if (visible <= 0) {  // a block of keys entirely after this row
          __builtin_memset(scores + r * kKeyBlock, 0, static_cast<size_t>(keys) * 4);
          continue;
        }
        const float factor = softmax_step(scores + r * kKeyBlock, visible, keys, scale, row_max[row], row_sum + row * kLanes);
        if (!first_block && factor != 1.0f) scale_row(sum + r * dim, dim, factor);
      }
      multiply_packed({.m = block.rows, .n = dim, .k = keys, .a = scores, .a_row_stride = kKeyBlock, .a_k_stride = 1,
                       .packed_b = packed_v, .c = sum, .c_stride = dim, .accumulate = !first_block});
    }
  }
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t r = 0; r < block.rows; ++r) {
      const int64_t row = h * kQueryBlock + r;
      float* out = op.out.row(block.first + r) + (head + h) * dim;
      __builtin_memcpy(out, sums + row * dim, static_cast<size_t>(dim) * 4);
      const float sum = reduce_add(load(row_sum + row * kLanes));
      scale_row(out, dim, 1.0f / sum);
      op.lse.row(block.first + r)[head + h] = row_max[row] + ::logf(sum);
    }
}

// p = exp(scale·score − lse) and d_s = p·(d_p − delta)·scale for one row, zero from `visible` on.
LIMO_INLINE void softmax_backward_row(float* p, float* d_s, int64_t visible, int64_t keys, float scale, float lse, float delta) {
  const Vec scale_vec = splat(scale), lse_vec = splat(lse), delta_vec = splat(delta);
  for (int64_t i = 0; i < visible; i += kLanes) {  // reads past `visible`, within the padded row
    const Vec e = exponential(load(p + i) * scale_vec - lse_vec);
    store(d_s + i, e * (load(d_s + i) - delta_vec) * scale_vec);
    store(p + i, e);
  }
  for (int64_t i = visible; i < keys; ++i) p[i] = d_s[i] = 0;
}

static_assert(kKeyBlock % 16 == 0, "rows of scores are whole vectors");

// One key/value head of one sequence: for each block of keys, all queries that see it.
void backward_head(const AttentionBackward& op, int64_t start, int64_t end, int64_t kv_head, float* scratch) {
  const int64_t dim = static_cast<int64_t>(op.head_dim), group = op.q.cols / op.k.cols;
  const float scale = static_cast<float>(op.scale);
  const int64_t padded_dim = packed_size(dim, 1);
  float* packed_kt = scratch;                                // Kᵀ: [D, keys], for the scores
  float* packed_vt = packed_kt + kKeyBlock * dim;            // Vᵀ: [D, keys], for d_p
  float* packed_k = packed_vt + kKeyBlock * dim;             // K: [keys, D], for d_q
  float* packed_q = packed_k + kKeyBlock * padded_dim;       // Q: [rows, D], for d_k
  float* packed_d_out = packed_q + kQueryBlock * padded_dim; // d_out: [rows, D], for d_v
  float* p = packed_d_out + kQueryBlock * padded_dim;        // [kQueryBlock, kKeyBlock]
  float* d_s = p + kQueryBlock * kKeyBlock;                  // [kQueryBlock, kKeyBlock]

  for (int64_t first_key = start; first_key < end; first_key += kKeyBlock) {
    const int64_t keys = smaller(kKeyBlock, end - first_key);
    const float* k = op.k.row(first_key) + kv_head * dim;
    const float* v = op.v.row(first_key) + kv_head * dim;
    float* d_k = op.d_k.row(first_key) + kv_head * dim;
    float* d_v = op.d_v.row(first_key) + kv_head * dim;
    pack_b(packed_kt, k, 1, op.k.row_stride, dim, keys);
    pack_b(packed_vt, v, 1, op.v.row_stride, dim, keys);
    pack_b(packed_k, k, op.k.row_stride, 1, keys, dim);
    bool accumulate = false;
    const int64_t first_block = start + (first_key - start) / kQueryBlock * kQueryBlock;
    for (int64_t first = first_block; first < end; first += kQueryBlock) {
      const int64_t rows = smaller(kQueryBlock, end - first);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const float* q = op.q.row(first) + head * dim;
        const float* d_out = op.d_out.row(first) + head * dim;
        pack_b(packed_q, q, op.q.row_stride, 1, rows, dim);
        pack_b(packed_d_out, d_out, op.d_out.row_stride, 1, rows, dim);
        multiply_packed({.m = rows, .n = keys, .k = dim, .a = q, .a_row_stride = op.q.row_stride, .a_k_stride = 1,
                         .packed_b = packed_kt, .c = p, .c_stride = kKeyBlock, .accumulate = false});
        multiply_packed({.m = rows, .n = keys, .k = dim, .a = d_out, .a_row_stride = op.d_out.row_stride, .a_k_stride = 1,
                         .packed_b = packed_vt, .c = d_s, .c_stride = kKeyBlock, .accumulate = false});
        for (int64_t r = 0; r < rows; ++r) {
          int64_t visible = smaller(keys, first + r - first_key + 1);
          if (visible < 0) visible = 0;
          softmax_backward_row(p + r * kKeyBlock, d_s + r * kKeyBlock, visible, keys, scale, op.lse.row(first + r)[head],
                               op.delta.row(first + r)[head]);
        }
        multiply_packed({.m = keys, .n = dim, .k = rows, .a = p, .a_row_stride = 1, .a_k_stride = kKeyBlock,
                         .packed_b = packed_d_out, .c = d_v, .c_stride = op.d_v.row_stride, .accumulate = accumulate});
        multiply_packed({.m = keys, .n = dim, .k = rows, .a = d_s, .a_row_stride = 1, .a_k_stride = kKeyBlock,
                         .packed_b = packed_q, .c = d_k, .c_stride = op.d_k.row_stride, .accumulate = accumulate});
        multiply_packed({.m = rows, .n = dim, .k = keys, .a = d_s, .a_row_stride = kKeyBlock, .a_k_stride = 1,
                         .packed_b = packed_k, .c = op.d_q.row(first) + head * dim, .c_stride = op.d_q.row_stride,
                         .accumulate = first_key != start});
        accumulate = true;
      }
    }
  }
}

}  // namespace

void run(const Attention& op, const CpuContext& context) {
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  const int64_t kv_heads = op.k.cols / dim, group = op.q.cols / op.k.cols;
  const int64_t together = smaller(group, kSumFloats / (kQueryBlock * (dim + kLanes + 1)));
  const int64_t parts = blocks_of(group, together);
  const int64_t blocks = count_query_blocks(op.cu_seqlens);
  parallel_for(context.pool, blocks * kv_heads * parts, [&](int64_t task, int thread) {
    // The last blocks of a sequence see the most keys: take them first, so that no thread ends with a long one.
    const QueryBlock block = query_block(op.cu_seqlens, blocks - 1 - task / (kv_heads * parts));
    const int64_t kv_head = task % kv_heads, part = task / kv_heads % parts;
    attend_block(op, block, kv_head * group + part * together, smaller(together, group - part * together), kv_head,
                 context.thread_scratch(thread));
  });
}

void run(const AttentionBackward& op, const CpuContext& context) {
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  const int64_t heads = op.q.cols / dim, kv_heads = op.k.cols / dim;
  for_rows(context, op.q.rows, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h) {
      const float *d_out = op.d_out.row(t) + h * dim, *out = op.out.row(t) + h * dim;
      Vec dot = {};
      for_lanes(
          dim, [&](int64_t i) { dot = load(d_out + i) * load(out + i) + dot; },
          [&](int64_t i, int64_t n) { dot = load_partial(d_out + i, n) * load_partial(out + i, n) + dot; });
      op.delta.row(t)[h] = reduce_add(dot);
    }
  });
  // Every sum over queries or keys has one owner and one order, so results do not depend on the threads.
  const int32_t* starts = op.cu_seqlens.i32();
  parallel_for(context.pool, (op.cu_seqlens.rows - 1) * kv_heads, [&](int64_t task, int thread) {
    const int64_t sequence = task / kv_heads;
    backward_head(op, starts[sequence], starts[sequence + 1], task % kv_heads, context.thread_scratch(thread));
  });
}

}  // namespace limo::LIMO_ISA
