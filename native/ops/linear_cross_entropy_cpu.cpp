#include "ops/linear_cross_entropy.h"

#include <cmath>

#include "cpu/blocks.h"
#include "cpu/gemm.h"

namespace limo::LIMO_ISA {
namespace {

constexpr int32_t kNotScored = -100;

// Turns a row of logits into loss_weight·(softmax − one-hot of the label) in place, as numbers of type T from the row's
// start; returns the row's loss.
template <class T>
float softmax_row(float* z, int64_t vocabulary, int32_t label, float loss_weight, bool with_gradient) {
  Vec largest = splat(z[0]);
  for_lanes(
      vocabulary, [&](int64_t i) { largest = maximum(largest, load(z + i)); },
      [&](int64_t i, int64_t n) {
        for (int64_t j = i; j < i + n; ++j) largest = maximum(largest, splat(z[j]));
      });
  const float max = reduce_max(largest);
  const Vec shift = splat(max);
  const float label_logit = z[label];
  // Float32 sums within a block of columns, double across blocks: 150,000 addends in float32 would lose two digits.
  constexpr int64_t kBlock = 1024;
  double total = 0;
  for (int64_t start = 0; start < vocabulary; start += kBlock) {
    const int64_t columns = block_end(start, kBlock, vocabulary) - start;
    float* block = z + start;
    Vec sum = {};
    for_lanes(
        columns,
        [&](int64_t i) {
          const Vec e = exponential(load(block + i) - shift);
          if (with_gradient) store(block + i, e);
          sum += e;
        },
        [&](int64_t i, int64_t n) {
          float rest[kLanes] = {};
          store(rest, exponential(load_partial(block + i, n) - shift));
          for (int64_t j = n; j < kLanes; ++j) rest[j] = 0;
          const Vec e = load(rest);
          if (with_gradient) store_partial(block + i, e, n);
          sum += e;
        });
    total += reduce_add(sum);
  }
  if (with_gradient) {
    const float scale = static_cast<float>(loss_weight / total);
    const float at_label = z[label] * scale - loss_weight;
    T* const d_z = reinterpret_cast<T*>(z);
    for_lanes(
        vocabulary, [&](int64_t i) { store(d_z + i, load(z + i) * splat(scale)); },
        [&](int64_t i, int64_t n) { store_partial(d_z + i, load_partial(z + i, n) * splat(scale), n); });
    store_partial(d_z + label, splat(at_label), 1);
  }
  return static_cast<float>(::log(total) + (static_cast<double>(max) - static_cast<double>(label_logit)));
}

// Collects the numbers of the next scored rows, at most `limit`, in `chunk`; returns how many and advances `t`.
int64_t next_rows(const int32_t* labels, int64_t rows, int64_t limit, int64_t& t, int32_t* chunk) {
  int64_t count = 0;
  for (; t < rows && count < limit; ++t)
    if (labels[t] != kNotScored) chunk[count++] = static_cast<int32_t>(t);
  return count;
}

template <class T>
void project_and_score(const LinearCrossEntropy& op, const CpuContext& context) {
  const int64_t tokens = op.hidden.rows, columns = op.hidden.cols, vocabulary = op.weight.rows, limit = op.logits.rows;
  const size_t row_bytes = static_cast<size_t>(columns) * sizeof(T);
  const int32_t* labels = op.labels.i32();
  const bool with_gradient = op.d_hidden || op.d_weight;
  for_rows(context, tokens, [&](int64_t t) {
    op.token_loss.f32()[t] = 0;
    if (op.d_hidden && labels[t] == kNotScored) __builtin_memset(op.d_hidden.row<T>(t), 0, row_bytes);
  });

  // The row numbers of a chunk lie in thread 0's working memory, behind the part for matrix products.
  int32_t* chunk = reinterpret_cast<int32_t*>(context.scratch + kScratchBytesPerThread) - kMaxScoredRows;
  int64_t scored = 0, t = 0;
  for (int64_t row = 0; row < tokens; ++row) scored += labels[row] != kNotScored;
  const int64_t most = scored == 0 ? 1 : even_piece(scored, smaller(limit, kMaxScoredRows));
  for (;;) {
    const int64_t rows = next_rows(labels, tokens, most, t, chunk);
    if (rows == 0) break;
    for_rows(context, rows, [&](int64_t r) { __builtin_memcpy(op.hidden_rows.row<T>(r), op.hidden.row<T>(chunk[r]), row_bytes); });
    gemm(Gemm<T, float>{.m = rows, .n = vocabulary, .k = columns,
                        .a = op.hidden_rows.row<T>(0), .a_row_stride = op.hidden_rows.row_stride, .a_k_stride = 1,
                        .b = op.weight.row<T>(0), .b_k_stride = 1, .b_col_stride = op.weight.row_stride,
                        .c = op.logits.f32(), .c_stride = op.logits.row_stride},
         context);
    parallel_for(context.pool, rows, [&](int64_t r, int) {
      const int32_t row = chunk[r];
      op.token_loss.f32()[row] = softmax_row<T>(op.logits.row(r), vocabulary, labels[row], op.loss_weights.f32()[row], with_gradient);
    });
    if (!with_gradient) continue;
    // In place: the gradients of the logits overwrite them, row by row.
    const T* const d_z = reinterpret_cast<const T*>(op.logits.f32());
    const int64_t d_z_stride = op.logits.row_stride * static_cast<int64_t>(sizeof(float) / sizeof(T));
    if (op.d_hidden) {
      gemm(Gemm<T, T>{.m = rows, .n = columns, .k = vocabulary,
                      .a = d_z, .a_row_stride = d_z_stride, .a_k_stride = 1,
                      .b = op.weight.row<T>(0), .b_k_stride = op.weight.row_stride, .b_col_stride = 1,
                      .c = op.d_hidden_rows.row<T>(0), .c_stride = op.d_hidden_rows.row_stride},
           context);
      for_rows(context, rows, [&](int64_t r) { __builtin_memcpy(op.d_hidden.row<T>(chunk[r]), op.d_hidden_rows.row<T>(r), row_bytes); });
    }
    if (!op.d_weight) continue;
    gemm(Gemm<T, float>{.m = vocabulary, .n = columns, .k = rows,
                        .a = d_z, .a_row_stride = 1, .a_k_stride = d_z_stride,
                        .b = op.hidden_rows.row<T>(0), .b_k_stride = op.hidden_rows.row_stride, .b_col_stride = 1,
                        .c = op.d_weight.f32(), .c_stride = op.d_weight.row_stride, .accumulate = true},
         context);
  }

  double loss = 0;
  for (int64_t row = 0; row < tokens; ++row)
    if (labels[row] != kNotScored) loss += static_cast<double>(op.loss_weights.f32()[row]) * op.token_loss.f32()[row];
  op.loss.f32()[0] = static_cast<float>(loss);
}

}  // namespace

void run(const LinearCrossEntropy& op, const CpuContext& context) {
  with_element(op.hidden.dtype, [&](auto element) { project_and_score<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
