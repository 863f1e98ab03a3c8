#include "ops/attention.h"

#include <cmath>

#include "cpu/blocks.h"
#include "cpu/gemm.h"

namespace limo::LIMO_ISA {
namespace {

// A block of scores (64 × 144 floats, 36 KB) stays in L1 and L2 between its products, and is whole register tiles.
template <class U>
struct Blocks {
  static constexpr int64_t kQueries = 64, kKeys = 144;
};
template <>
struct Blocks<Pair> {
  static constexpr int64_t kQueries = 70, kKeys = 128;
};
constexpr int64_t kMostQueries = 70, kMostKeys = 144;
// Query heads of a group that share one packing of the keys keep their sums here: at most this many floats.
constexpr int64_t kSumFloats = 1 << 18;

constexpr int64_t kMostColumns = kMaxHeadDim + kLanes;
static_assert((2 * kSumFloats + 2 * kMostKeys * kMostColumns + kMostQueries * kMostKeys) * 4 <= kScratchBytesPerThread);
static_assert((5 * kMostKeys + 4 * kMostQueries) * kMostColumns * 4 + 3 * kMostQueries * kMostKeys * 4 <= kScratchBytesPerThread);

LIMO_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LIMO_INLINE int64_t blocks_of(int64_t total, int64_t block) { return (total + block - 1) / block; }

// Consecutive rows of one sequence.
struct RowBlock {
  int64_t sequence_start, sequence_end, first, rows;
};

// The block of `size` rows with that number; blocks count through the sequences in order.
RowBlock row_block(const Tensor& cu_seqlens, int64_t size, int64_t number) {
  const int32_t* starts = cu_seqlens.i32();
  for (int64_t s = 0; s + 1 < cu_seqlens.rows; ++s) {
    const int64_t blocks = blocks_of(starts[s + 1] - starts[s], size);
    if (number < blocks) {
      const int64_t first = starts[s] + number * size;
      return {starts[s], starts[s + 1], first, smaller(size, starts[s + 1] - first)};
    }
    number -= blocks;
  }
  return {0, 0, 0, 0};
}

int64_t count_blocks(const Tensor& cu_seqlens, int64_t size) {
  const int32_t* starts = cu_seqlens.i32();
  int64_t blocks = 0;
  for (int64_t s = 0; s + 1 < cu_seqlens.rows; ++s) blocks += blocks_of(starts[s + 1] - starts[s], size);
  return blocks;
}

// What a product takes from a row of scores: bfloat16 where it multiplies pairs.
template <class U>
using Probability = std::conditional_t<std::is_same_v<U, Pair>, Bf16, float>;

// The lanes of `v` whose place i, i + 1, … is below `visible`; 0 in the others.
LIMO_INLINE Vec visible_lanes(Vec v, int64_t i, int64_t visible) {
#if defined(__AVX512F__)
  return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << (visible - i)) - 1), v);
#else
  for (int64_t lane = visible - i; lane < kLanes; ++lane) v[lane] = 0;
  return v;
#endif
}

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

// to = from · factor
template <class T>
LIMO_INLINE void store_scaled(T* to, const float* from, int64_t n, float factor) {
  for_lanes(
      n, [&](int64_t i) { store(to + i, load(from + i) * splat(factor)); },
      [&](int64_t i, int64_t rest) { store_partial(to + i, load_partial(from + i, rest) * splat(factor), rest); });
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
                                              .a_k_stride = 1, .packed_b = packed_k, .c = scores, .c_stride = kKeys});
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
                                              .addend = first_block ? nullptr : sum, .addend_stride = dim});
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

// ---- backward ----

// The gradients of a block of scores, as the products take them. `rows` is d_s by rows, for d_q; `p` and `d_s` are read
// transposed, for d_v and d_k: as they lie, or as pairs of rows.
template <class U>
struct ScoreGradients {
  float *p, *d_s;  // [kQueries, kKeys]; in: scores and d_p
  Bf16* rows;      // [kQueries, kKeys], for pairs
};

// p = exp(scale·score − lse) and d_s = p·(d_p − delta)·scale for keys i … i + kLanes − 1 of a row, 0 from `visible` on.
struct SoftmaxRow {
  Vec lse, delta;
  int64_t visible;

  LIMO_INLINE void step(const float* p, const float* d_s, int64_t i, Vec scale, Vec& p_out, Vec& d_s_out) const {
    if (i >= visible) {
      p_out = d_s_out = Vec{};
      return;
    }
    p_out = exponential(load(p + i) * scale - lse);
    d_s_out = p_out * (load(d_s + i) - delta) * scale;
    if (i + kLanes > visible) {
      p_out = visible_lanes(p_out, i, visible);
      d_s_out = visible_lanes(d_s_out, i, visible);
    }
  }
};

LIMO_INLINE void softmax_backward(const ScoreGradients<float>& g, int64_t stride, const SoftmaxRow* rows, int64_t count, int64_t keys,
                                  Vec scale) {
  for (int64_t r = 0; r < count; ++r) {
    float *const p = g.p + r * stride, *const d_s = g.d_s + r * stride;
    for (int64_t i = 0; i < keys; i += kLanes) {
      Vec e, d;
      rows[r].step(p, d_s, i, scale, e, d);
      store(p + i, e);
      store(d_s + i, d);
    }
  }
}

#if defined(__AVX512BF16__)
// Two rows, rounded, as pairs.
LIMO_INLINE void store_pairs(void* to, Vec first, Vec second) {
  const __m512i low = _mm512_cvtepu16_epi32((__m256i)round_to_bf16(first));
  const __m512i high = _mm512_cvtepu16_epi32((__m256i)round_to_bf16(second));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

// Rows two by two: the pairs of a row and the next lie in the place of the first.
LIMO_INLINE void softmax_backward(const ScoreGradients<Pair>& g, int64_t stride, const SoftmaxRow* rows, int64_t count, int64_t keys,
                                  Vec scale) {
  for (int64_t r = 0; r < count; r += 2) {
    float *const p = g.p + r * stride, *const d_s = g.d_s + r * stride;
    const bool two = r + 1 < count;
    for (int64_t i = 0; i < keys; i += kLanes) {
      Vec e0, d0, e1 = {}, d1 = {};
      rows[r].step(p, d_s, i, scale, e0, d0);
      if (two) rows[r + 1].step(p + stride, d_s + stride, i, scale, e1, d1);
      store_pairs(p + i, e0, e1);
      store_pairs(d_s + i, d0, d1);
      store(g.rows + r * stride + i, d0);
      if (two) store(g.rows + (r + 1) * stride + i, d1);
    }
  }
}
#endif

// What a task adds up: gradients of keys and values over all queries that see them, gradients of queries over all keys they
// see, or both at once, which shares the two products and the softmax that both need.
enum class Sums { kKeys, kQueries, kBoth };

// The working memory of one thread, and the blocks in it.
template <class T>
class BackwardBlock {
 public:
  using U = Unit<T>;
  static constexpr int64_t kQueries = Blocks<U>::kQueries, kKeys = Blocks<U>::kKeys;

  BackwardBlock(const AttentionBackward& op, Sums sums, int64_t kv_head, float* scratch)
      : op_(op), sums_(sums), kv_head_(kv_head), dim_(static_cast<int64_t>(op.head_dim)), group_(op.q.cols / op.k.cols) {
    const int64_t dim_units = units_of<U>(dim_);
    packed_kt_ = reinterpret_cast<U*>(scratch);
    packed_vt_ = packed_kt_ + packed_size(kKeys, dim_units);
    packed_k_ = packed_vt_ + packed_size(kKeys, dim_units);
    packed_q_ = packed_k_ + packed_size(dim_, units_of<U>(kKeys));
    packed_d_out_ = packed_q_ + packed_size(dim_, units_of<U>(kQueries));
    q_room_ = packed_d_out_ + packed_size(dim_, units_of<U>(kQueries));
    d_out_room_ = q_room_ + kQueries * dim_units;
    d_k_ = reinterpret_cast<float*>(d_out_room_ + kQueries * dim_units);
    d_v_ = d_k_ + kKeys * dim_;
    p_ = d_v_ + kKeys * dim_;
    d_s_ = p_ + kQueries * kKeys;
    d_s_rows_ = reinterpret_cast<Bf16*>(d_s_ + kQueries * kKeys);
  }

  // Takes up a block of keys.
  void load_keys(int64_t first_key, int64_t keys, int64_t sequence_start) {
    first_key_ = first_key, keys_ = keys, sequence_start_ = sequence_start;
    const T* k = op_.k.row<T>(first_key) + kv_head_ * dim_;
    pack_b(packed_kt_, k, 1, op_.k.row_stride, dim_, keys);                                                   // Kᵀ: [D, keys], for the scores
    pack_b(packed_vt_, op_.v.row<T>(first_key) + kv_head_ * dim_, 1, op_.v.row_stride, dim_, keys);           // Vᵀ: [D, keys], for d_p
    if (sums_ != Sums::kKeys) pack_b(packed_k_, k, op_.k.row_stride, 1, keys, dim_);                          // K: [keys, D], for d_q
    has_sums_ = false;
  }

  // One block of queries against the keys at hand, head by head.
  void add_queries(int64_t first, int64_t rows) {
    for (int64_t head = kv_head_ * group_; head < (kv_head_ + 1) * group_; ++head) {
      make_score_gradients(first, rows, head);
      const ScoreGradients<U> g{p_, d_s_, d_s_rows_};
      if (sums_ != Sums::kQueries) {
        pack_b(packed_q_, op_.q.row<T>(first) + head * dim_, op_.q.row_stride, 1, rows, dim_);                // Q: [rows, D], for d_k
        pack_b(packed_d_out_, op_.d_out.row<T>(first) + head * dim_, op_.d_out.row_stride, 1, rows, dim_);    // d_out: [rows, D], for d_v
        add_transposed(d_v_, g.p, packed_d_out_, rows);
        add_transposed(d_k_, g.d_s, packed_q_, rows);
        has_sums_ = true;
      }
      if (sums_ != Sums::kKeys) {
        const Tensor& d_q_sum = sum_of_queries();
        float* const to = d_q_sum.row(first) + head * dim_;
        const U* a = std::is_same_v<U, Pair> ? reinterpret_cast<const U*>(g.rows) : reinterpret_cast<const U*>(g.d_s);
        multiply_packed(PackedProduct<U, float>{.m = rows, .n = dim_, .k = units_of<U>(keys_), .a = a, .a_row_stride = units_of<U>(kKeys),
                                                .a_k_stride = 1, .packed_b = packed_k_, .c = to, .c_stride = d_q_sum.row_stride,
                                                .addend = first_key_ == sequence_start_ ? nullptr : to, .addend_stride = d_q_sum.row_stride});
      }
    }
  }

  // Writes the gradients of the keys and values at hand.
  void store_keys() const {
    for (int64_t r = 0; r < keys_; ++r) {
      store_scaled(op_.d_k.row<T>(first_key_ + r) + kv_head_ * dim_, d_k_ + r * dim_, dim_, 1.0f);
      store_scaled(op_.d_v.row<T>(first_key_ + r) + kv_head_ * dim_, d_v_ + r * dim_, dim_, 1.0f);
    }
  }

  // Rounds the gradients of queries whose sums are complete.
  void store_queries(int64_t first, int64_t rows) const {
    if constexpr (!std::is_same_v<T, float>)
      for (int64_t t = first; t < first + rows; ++t) {
        const int64_t column = kv_head_ * group_ * dim_;
        store_scaled(op_.d_q.row<T>(t) + column, op_.d_q_sum.row(t) + column, group_ * dim_, 1.0f);
      }
  }

 private:
  // Where the gradients of queries are summed in float32.
  const Tensor& sum_of_queries() const { return std::is_same_v<T, float> ? op_.d_q : op_.d_q_sum; }

  void make_score_gradients(int64_t first, int64_t rows, int64_t head) {
    const BlockOfA<U> q = read_rows(op_.q.row<T>(first) + head * dim_, op_.q.row_stride, rows, dim_, q_room_);
    const BlockOfA<U> d_out = read_rows(op_.d_out.row<T>(first) + head * dim_, op_.d_out.row_stride, rows, dim_, d_out_room_);
    multiply_packed(PackedProduct<U, float>{.m = rows, .n = keys_, .k = units_of<U>(dim_), .a = q.a, .a_row_stride = q.row_stride,
                                            .a_k_stride = 1, .packed_b = packed_kt_, .c = p_, .c_stride = kKeys});
    multiply_packed(PackedProduct<U, float>{.m = rows, .n = keys_, .k = units_of<U>(dim_), .a = d_out.a, .a_row_stride = d_out.row_stride,
                                            .a_k_stride = 1, .packed_b = packed_vt_, .c = d_s_, .c_stride = kKeys});
    SoftmaxRow softmax[kQueries];
    for (int64_t r = 0; r < rows; ++r)
      softmax[r] = {splat(op_.lse.row(first + r)[head]), splat(op_.delta.row(first + r)[head]), smaller(keys_, first + r - first_key_ + 1)};
    softmax_backward(ScoreGradients<U>{p_, d_s_, d_s_rows_}, kKeys, softmax, rows, keys_, splat(static_cast<float>(op_.scale)));
  }

  // sum[keys, D] += gradientsᵀ·B, B being [rows, D].
  void add_transposed(float* sum, const float* gradients, const U* packed_b, int64_t rows) {
    // Pairs of rows lie in every other row.
    constexpr int64_t kStride = std::is_same_v<U, Pair> ? 2 * kKeys : kKeys;
    multiply_packed(PackedProduct<U, float>{.m = keys_, .n = dim_, .k = units_of<U>(rows), .a = reinterpret_cast<const U*>(gradients),
                                            .a_row_stride = 1, .a_k_stride = kStride, .packed_b = packed_b, .c = sum, .c_stride = dim_,
                                            .addend = has_sums_ ? sum : nullptr, .addend_stride = dim_});
  }

  const AttentionBackward& op_;
  const Sums sums_;
  const int64_t kv_head_, dim_, group_;
  U *packed_kt_, *packed_vt_, *packed_k_, *packed_q_, *packed_d_out_, *q_room_, *d_out_room_;
  float *d_k_, *d_v_;  // [kKeys, D]
  float *p_, *d_s_;    // [kQueries, kKeys]
  Bf16* d_s_rows_;     // [kQueries, kKeys]
  int64_t first_key_ = 0, keys_ = 0, sequence_start_ = 0;
  bool has_sums_ = false;
};

// One block of keys: its gradients over all queries that see it, and with kBoth its share in theirs.
template <class T>
void add_key_block(BackwardBlock<T>& block, const RowBlock& keys) {
  constexpr int64_t kQueries = BackwardBlock<T>::kQueries;
  block.load_keys(keys.first, keys.rows, keys.sequence_start);
  const int64_t first_block = keys.sequence_start + (keys.first - keys.sequence_start) / kQueries * kQueries;
  for (int64_t first = first_block; first < keys.sequence_end; first += kQueries)
    block.add_queries(first, smaller(kQueries, keys.sequence_end - first));
  block.store_keys();
}

// One block of queries: its gradients over all keys it sees, in the same order as above.
template <class T>
void add_query_block(BackwardBlock<T>& block, const RowBlock& queries) {
  constexpr int64_t kKeys = BackwardBlock<T>::kKeys;
  for (int64_t first = queries.sequence_start; first < queries.first + queries.rows; first += kKeys) {
    block.load_keys(first, smaller(kKeys, queries.sequence_end - first), queries.sequence_start);
    block.add_queries(queries.first, queries.rows);
  }
  block.store_queries(queries.first, queries.rows);
}

// Whether one task for each sequence and key/value head leaves threads idle for longer than the two products more that
// smaller tasks take: five products become seven.
bool is_unbalanced(const Tensor& cu_seqlens, int64_t kv_heads, int64_t threads) {
  constexpr int64_t kMostThreads = 256;
  if (threads > kMostThreads) return true;
  double load[kMostThreads] = {};
  double total = 0, longest = 0;
  const int32_t* starts = cu_seqlens.i32();
  for (int64_t task = 0; task < (cu_seqlens.rows - 1) * kv_heads; ++task) {
    const double tokens = starts[task / kv_heads + 1] - starts[task / kv_heads];
    int64_t idlest = 0;
    for (int64_t thread = 1; thread < threads; ++thread)
      if (load[thread] < load[idlest]) idlest = thread;
    load[idlest] += tokens * tokens;
    total += tokens * tokens;
    longest = load[idlest] > longest ? load[idlest] : longest;
  }
  return 5 * longest > 7 * total / static_cast<double>(threads);
}

template <class T>
void attend_backward(const AttentionBackward& op, const CpuContext& context) {
  constexpr int64_t kQueries = BackwardBlock<T>::kQueries, kKeys = BackwardBlock<T>::kKeys;
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  const int64_t heads = op.q.cols / dim, kv_heads = op.k.cols / dim;
  for_rows(context, op.q.rows, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h) {
      const T *d_out = op.d_out.row<T>(t) + h * dim, *out = op.out.row<T>(t) + h * dim;
      Vec dot = {};
      for_lanes(
          dim, [&](int64_t i) { dot = load(d_out + i) * load(out + i) + dot; },
          [&](int64_t i, int64_t n) { dot = load_partial(d_out + i, n) * load_partial(out + i, n) + dot; });
      op.delta.row(t)[h] = reduce_add(dot);
    }
  });
  // Every sum over queries or keys has one owner and one order, so results do not depend on the threads, nor on which of the
  // two ways is taken.
  if (!is_unbalanced(op.cu_seqlens, kv_heads, context.pool.threads())) {
    const int32_t* starts = op.cu_seqlens.i32();
    parallel_for(context.pool, (op.cu_seqlens.rows - 1) * kv_heads, [&](int64_t task, int thread) {
      const int64_t start = starts[task / kv_heads], end = starts[task / kv_heads + 1];
      BackwardBlock<T> block(op, Sums::kBoth, task % kv_heads, context.thread_scratch(thread));
      for (int64_t first = start; first < end; first += kKeys) add_key_block(block, {start, end, first, smaller(kKeys, end - first)});
      block.store_queries(start, end - start);
    });
    return;
  }
  const int64_t key_tasks = count_blocks(op.cu_seqlens, kKeys) * kv_heads, query_blocks = count_blocks(op.cu_seqlens, kQueries);
  parallel_for(context.pool, key_tasks + query_blocks * kv_heads, [&](int64_t task, int thread) {
    // Long tasks first: keys are seen by all later queries, and queries see all earlier keys.
    if (task < key_tasks) {
      BackwardBlock<T> block(op, Sums::kKeys, task % kv_heads, context.thread_scratch(thread));
      add_key_block(block, row_block(op.cu_seqlens, kKeys, task / kv_heads));
    } else {
      BackwardBlock<T> block(op, Sums::kQueries, task % kv_heads, context.thread_scratch(thread));
      add_query_block(block, row_block(op.cu_seqlens, kQueries, query_blocks - 1 - (task - key_tasks) / kv_heads));
    }
  });
}

}  // namespace

void run(const Attention& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { attend<decltype(element)>(op, context); });
}

void run(const AttentionBackward& op, const CpuContext& context) {
  with_element(op.d_q.dtype, [&](auto element) { attend_backward<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
