#pragma once

#include <string>

#include "core/error.h"
#include "cpu/context.h"
#include "ops/op_list.h"

namespace limo {

// What the kernels of the CPU cannot do, by an operation's largest shapes: checked when a program is compiled for it. Throws
// kProgramInvalid.
template <class Op>
void check_cpu_limits(const Op&) {}

inline void check_summed_columns(int64_t columns) {
  if (columns > kMostSummedColumns)
    throw Error(ErrorCode::kProgramInvalid, "expected at most " + std::to_string(kMostSummedColumns) + " columns but received " + std::to_string(columns));
}

template <>
inline void check_cpu_limits(const RmsNormBackward& op) {
  check_summed_columns(op.x.cols);
}

template <>
inline void check_cpu_limits(const HeadNormBackward& op) {
  check_summed_columns(op.weight.rows);
}

template <>
inline void check_cpu_limits(const LinearDecode& op) {
  check_summed_columns(op.x.cols);
}

template <>
inline void check_cpu_limits(const Logits& op) {
  check_summed_columns(op.hidden.cols);
}

}  // namespace limo
