#include "cpu/attention_blocks.h"
#include "cpu/blocks.h"
#include "ops/attention.h"

namespace limo::LIMO_ISA {
namespace {

static_assert((5 * kMostKeys + 4 * kMostQueries) * kMostColumns * 4 + 3 * kMostQueries * kMostKeys * 4 <= kScratchBytesPerThread);

// The gradients of a block of scores, in the layouts that the products need. `rows` is d_s row by row, for d_q. `p` and `d_s` are read
// transposed, for d_v and d_k: as they are, or as pairs of rows.
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

#if defined(LIMO_PAIRS)
// Two rows, rounded, as pairs.
LIMO_INLINE void store_pairs(float* to, Vec first, Vec second) { store(to, interleave(round_to_bf16(first), round_to_bf16(second))); }

// Two rows at a time: pairs of a row and the next overwrite the first of them.
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

// The sums of a task. kKeys: gradients of keys and values over all queries that see them. kQueries: gradients of queries over all keys they
// see. kBoth shares the two products and the softmax that both need.
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
    transposed_ = reinterpret_cast<U*>(d_s_rows_ + kQueries * kKeys);
  }

  // Packs a block of keys and values and clears their gradients.
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
  // Float32 accumulator of the gradients of queries: d_q itself, or d_q_sum where d_q is bfloat16.
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
    softmax_backward(ScoreGradients<U>{p_, d_s_, d_s_rows_}, kKeys, softmax, rows, units_of<U>(keys_) * kPerUnit<U>,
                     splat(static_cast<float>(op_.scale)));
  }

  // sum[keys, D] += gradientsᵀ·B, B being [rows, D].
  void add_transposed(float* sum, const float* gradients, const U* packed_b, int64_t rows) {
    // Pairs of rows lie in every other row.
    constexpr int64_t kStride = std::is_same_v<U, Pair> ? 2 * kKeys : kKeys;
    BlockOfA<U> a{reinterpret_cast<const U*>(gradients), 1, kStride};
    if constexpr (kUnitsTogether<U> > 1) {
      copy_transposed(transposed_, a.a, kStride, keys_, rows);
      a = transposed_rows(transposed_, keys_, rows);
    }
    multiply_packed(PackedProduct<U, float>{.m = keys_, .n = dim_, .k = units_of<U>(rows), .a = a.a, .a_row_stride = a.row_stride,
                                            .a_k_stride = a.k_stride, .packed_b = packed_b, .c = sum, .c_stride = dim_,
                                            .addend = has_sums_ ? sum : nullptr, .addend_stride = dim_});
  }

  const AttentionBackward& op_;
  const Sums sums_;
  const int64_t kv_head_, dim_, group_;
  U *packed_kt_, *packed_vt_, *packed_k_, *packed_q_, *packed_d_out_, *q_room_, *d_out_room_;
  float *d_k_, *d_v_;  // [kKeys, D]
  float *p_, *d_s_;    // [kQueries, kKeys]
  Bf16* d_s_rows_;     // [kQueries, kKeys]
  U* transposed_;      // [kKeys, units of kQueries], for AMX
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

// Load balance. One task per sequence and key/value head takes five products; smaller tasks, which recompute scores, take seven. Whether
// the longest thread's share of five is more than an even share of seven.
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
      for (int64_t first = start; first < end; first += kKeys)
        add_key_block(block, {task / kv_heads, start, end, first, smaller(kKeys, end - first)});
      block.store_queries(start, end - start);
    });
    return;
  }
  const int64_t key_tasks = count_blocks(op.cu_seqlens, kKeys) * kv_heads, query_blocks = count_blocks(op.cu_seqlens, kQueries);
  parallel_for(context.pool, key_tasks + query_blocks * kv_heads, [&](int64_t task, int thread) {
    // Long tasks first: the first keys of a sequence are seen by most queries, and its last queries see most keys.
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

void run(const AttentionBackward& op, const CpuContext& context) {
  with_element(op.d_q.dtype, [&](auto element) { attend_backward<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
