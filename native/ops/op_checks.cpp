#include "ops/op_checks.h"

#include <cmath>
#include <string>

#include "core/error.h"
#include "cpu/context.h"

namespace limo {
namespace {

void expect(bool holds, const std::string& message) {
  if (!holds) throw Error(ErrorCode::kProgramInvalid, message);
}

void check_heads(int64_t q_columns, int64_t kv_columns, int64_t lse_columns, double head_dim, double scale) {
  expect(head_dim >= 1 && head_dim <= kMaxHeadDim && head_dim == std::floor(head_dim),
         "expected a whole head_dim in 1..." + std::to_string(kMaxHeadDim) + " but received " + std::to_string(head_dim));
  const int64_t dim = static_cast<int64_t>(head_dim);
  expect(q_columns > 0 && kv_columns > 0 && q_columns % dim == 0 && kv_columns % dim == 0 && q_columns % kv_columns == 0,
         "expected columns of q to be a multiple of those of k, and both of head_dim " + std::to_string(dim) + ", but received " +
             std::to_string(q_columns) + " and " + std::to_string(kv_columns));
  expect(lse_columns == q_columns / dim, "expected one column of lse for each query head");
  expect(std::isfinite(scale) && scale > 0, "expected a scale above 0");
}

void check_head_columns(int64_t columns, int64_t heads, int64_t dim) {
  expect(columns == heads * dim, "expected " + std::to_string(heads) + " heads of " + std::to_string(dim) +
                                     " channels but received " + std::to_string(columns) + " columns");
}

void check_summed_columns(int64_t columns) {
  expect(columns <= kMostSummedColumns, "expected at most " + std::to_string(kMostSummedColumns) + " columns but received " + std::to_string(columns));
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
  check_summed_columns(op.x.cols);
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
  check_summed_columns(op.weight.rows);
  check_head_columns(op.x.cols, op.rstd.cols, op.weight.rows);
}

template <>
void check(const Attention& op) {
  check_heads(op.q.cols, op.k.cols, op.lse.cols, op.head_dim, op.scale);
}

template <>
void check(const AttentionBackward& op) {
  expect(static_cast<bool>(op.d_q_sum) == (op.d_q.dtype == DType::kBF16), "expected d_q_sum exactly when d_q is bf16");
  check_heads(op.q.cols, op.k.cols, op.lse.cols, op.head_dim, op.scale);
}

template <>
void check(const LinearCrossEntropy& op) {
  const bool gradient = static_cast<bool>(op.d_hidden);
  expect(gradient == static_cast<bool>(op.d_weight) && gradient == static_cast<bool>(op.d_hidden_rows),
         "expected d_hidden, d_weight and d_hidden_rows together or none of them");
  expect(op.logits.rows <= kMaxScoredRows, "expected at most " + std::to_string(kMaxScoredRows) + " rows of logits but received " +
                                               std::to_string(op.logits.rows));
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

}  // namespace limo
