#include "ops/op_checks.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace limo {
namespace {

void expect(bool holds, const std::string& message) {
  if (!holds) throw Error(ErrorCode::kProgramInvalid, message);
}

void check_heads(int64_t q_columns, int64_t kv_columns, double head_dim, double scale) {
  expect(head_dim >= 1 && head_dim <= kMaxHeadDim && head_dim == std::floor(head_dim),
         "expected a whole head_dim in 1..." + std::to_string(kMaxHeadDim) + " but received " + std::to_string(head_dim));
  const int64_t dim = static_cast<int64_t>(head_dim);
  expect(q_columns > 0 && kv_columns > 0 && q_columns % dim == 0 && kv_columns % dim == 0 && q_columns % kv_columns == 0,
         "expected columns of q to be a multiple of those of k, and both of head_dim " + std::to_string(dim) + ", but received " +
             std::to_string(q_columns) + " and " + std::to_string(kv_columns));
  expect(std::isfinite(scale) && scale > 0, "expected a scale above 0");
}

template <class Op>
void check_packed_heads(const Op& op) {
  check_heads(op.q.cols, op.k.cols, op.head_dim, op.scale);
  expect(op.lse.cols == op.q.cols / static_cast<int64_t>(op.head_dim), "expected one column of lse for each query head");
}

template <class Op>
void check_cache(const Op& op) {
  check_heads(op.q.cols, op.k_cache.cols, op.head_dim, op.scale);
  expect(op.page_size >= 1 && op.page_size <= kMostPageSize && kDecodeSplitKeys % static_cast<int64_t>(op.page_size) == 0 &&
             op.page_size == std::floor(op.page_size),
         "expected a page_size of a power of two up to " + std::to_string(kMostPageSize) + " but received " + std::to_string(op.page_size));
  expect(op.k_cache.rows % static_cast<int64_t>(op.page_size) == 0, "expected a cache of whole pages");
}

// The pages that a sequence's length calls for.
template <class Op>
void check_pages(const Op& op, int64_t sequence, int64_t least_length) {
  const int64_t page_size = static_cast<int64_t>(op.page_size), pages = op.k_cache.rows / page_size;
  const int64_t length = op.lengths.i32()[sequence], most = op.page_table.cols * page_size;
  const auto refuse = [](const std::string& message) { throw Error(ErrorCode::kInputInvalid, message); };
  if (length < least_length || length > most)
    refuse("expected a length in " + std::to_string(least_length) + "..." + std::to_string(most) + " for sequence " + std::to_string(sequence) +
           " but received " + std::to_string(length));
  for (int64_t p = 0; p * page_size < length; ++p) {
    const int32_t page = op.page_table.template row<int32_t>(sequence)[p];
    if (page < 0 || page >= pages)
      refuse("expected pages in 0..." + std::to_string(pages - 1) + " for sequence " + std::to_string(sequence) + " but received " + std::to_string(page));
  }
}

void check_rows(const Tensor& rows, int64_t count, const char* name) {
  for (int64_t t = 0; t < rows.rows; ++t) {
    const int32_t row = rows.i32()[t];
    if (row < 0 || row >= count)
      throw Error(ErrorCode::kInputInvalid, std::string("expected ") + name + " in 0..." + std::to_string(count - 1) + " but received " + std::to_string(row));
  }
}

void check_head_columns(int64_t columns, int64_t heads, int64_t dim) {
  expect(columns == heads * dim, "expected " + std::to_string(heads) + " heads of " + std::to_string(dim) +
                                     " channels but received " + std::to_string(columns) + " columns");
}

void check_ids(const Tensor& ids, int64_t vocabulary, bool labels) {
  for (int64_t t = 0; t < ids.rows; ++t) {
    const int32_t id = ids.i32()[t];
    if ((id >= 0 && id < vocabulary) || (labels && id == -100)) continue;
    throw Error(ErrorCode::kInputInvalid, std::string("expected a ") + (labels ? "label of -100 or" : "token id") + " in 0..." +
                                              std::to_string(vocabulary - 1) + " at position " + std::to_string(t) +
                                              " but received " + std::to_string(id));
  }
}

void check_bounds(const Tensor& cu_seqlens, int64_t tokens) {
  const int32_t* bounds = cu_seqlens.i32();
  const int64_t count = cu_seqlens.rows;
  bool holds = count >= 2 && bounds[0] == 0 && bounds[count - 1] == tokens;
  for (int64_t s = 0; holds && s + 1 < count; ++s) holds = bounds[s] < bounds[s + 1];
  if (!holds)
    throw Error(ErrorCode::kInputInvalid, "expected cu_seqlens to rise from 0 to the " + std::to_string(tokens) + " tokens of the run");
}

}  // namespace

template <>
void check(const RmsNorm& op) {
  expect(static_cast<bool>(op.residual) == static_cast<bool>(op.sum), "expected residual and sum together or neither");
}

template <>
void check(const RmsNormBackward& op) {
  expect(op.d_x || op.d_weight, "expected d_x, d_weight or both");
}

template <>
void check(const LinearBackwardWeight& op) {
  expect(op.d_weight || op.d_bias, "expected d_weight, d_bias or both");
}

template <>
void check(const Rope& op) {
  expect(op.x.cols % (2 * op.cos.cols) == 0, "expected columns of x to be a multiple of twice the columns of cos, " +
                                                 std::to_string(2 * op.cos.cols) + ", but received " + std::to_string(op.x.cols));
}

template <>
void check(const HeadNorm& op) {
  check_head_columns(op.x.cols, op.rstd.cols, op.weight.rows);
}

template <>
void check(const HeadNormBackward& op) {
  expect(op.d_x || op.d_weight, "expected d_x, d_weight or both");
  check_head_columns(op.x.cols, op.rstd.cols, op.weight.rows);
}

template <>
void check(const Attention& op) {
  check_packed_heads(op);
}

template <>
void check(const AttentionBackward& op) {
  check_packed_heads(op);
}

template <>
void check(const LinearCrossEntropy& op) {
  expect(static_cast<bool>(op.d_hidden) == static_cast<bool>(op.d_hidden_rows), "expected d_hidden and d_hidden_rows together or neither");
  expect(op.logits.rows <= kMaxScoredRows, "expected at most " + std::to_string(kMaxScoredRows) + " rows of logits but received " +
                                               std::to_string(op.logits.rows));
}

template <>
void check(const AttentionPrefill& op) {
  check_cache(op);
}

template <>
void check(const AttentionDecode& op) {
  check_cache(op);
  const int64_t columns = op.q.cols + 2 * (op.q.cols / static_cast<int64_t>(op.head_dim));
  const int64_t rows = op.q.rows * decode_splits(op.page_table.cols * static_cast<int64_t>(op.page_size));
  expect(op.partial.cols == columns && op.partial.rows >= rows, "expected at least " + std::to_string(rows) + " rows of " + std::to_string(columns) +
                                                                     " columns for partial but received " + std::to_string(op.partial.rows) +
                                                                     " of " + std::to_string(op.partial.cols));
}

template <>
void check(const Sample& op) {
  expect(static_cast<bool>(op.penalty) == static_cast<bool>(op.seen), "expected penalty and seen together or neither");
  expect(op.logits.cols <= kMostSampled,
         "expected a vocabulary of at most " + std::to_string(kMostSampled) + " but received " + std::to_string(op.logits.cols));
  expect(!op.seen || op.seen.cols == (op.logits.cols + 31) / 32, "expected a bit of seen for each token of the vocabulary");
}

template <>
void check(const Route& op) {
  expect(op.experts.cols <= op.logits.cols, "expected at most " + std::to_string(op.logits.cols) + " experts of a token, as many as there are, but received " +
                                                std::to_string(op.experts.cols));
}

template <>
void check_values(const Embedding& op) {
  check_ids(op.ids, op.table.rows, false);
}

template <>
void check_values(const EmbeddingBackward& op) {
  check_ids(op.ids, op.d_table.rows, false);
}

template <>
void check_values(const RotaryTable& op) {
  for (int64_t t = 0; t < op.positions.rows; ++t)
    if (op.positions.i32()[t] < 0)
      throw Error(ErrorCode::kInputInvalid, "expected positions from 0 on but received " + std::to_string(op.positions.i32()[t]));
}

template <>
void check_values(const Attention& op) {
  check_bounds(op.cu_seqlens, op.q.rows);
}

template <>
void check_values(const AttentionBackward& op) {
  check_bounds(op.cu_seqlens, op.q.rows);
}

template <>
void check_values(const LinearCrossEntropy& op) {
  check_ids(op.labels, op.weight.rows, true);
}

template <>
void check_values(const CacheAppend& op) {
  check_rows(op.slots, op.k_cache.rows, "slots");
}

template <>
void check_values(const AttentionPrefill& op) {
  check_bounds(op.cu_seqlens, op.q.rows);
  const int32_t* bounds = op.cu_seqlens.i32();
  if (op.lengths.rows != op.cu_seqlens.rows - 1)
    throw Error(ErrorCode::kInputInvalid, "expected a length for each sequence but received " + std::to_string(op.lengths.rows));
  for (int64_t s = 0; s < op.lengths.rows; ++s) check_pages(op, s, bounds[s + 1] - bounds[s]);
}

template <>
void check_values(const AttentionDecode& op) {
  for (int64_t t = 0; t < op.q.rows; ++t) check_pages(op, t, 1);
}

template <>
void check_values(const Logits& op) {
  check_rows(op.rows, op.hidden.rows, "rows");
}

}  // namespace limo
