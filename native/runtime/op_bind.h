#pragma once

#include "core/tensor.h"

namespace limo {

// The operation with its operands, working memory and attributes in place, each in the order of its table.
template <class Op>
Op bind(const Tensor* operands, const double* attributes) {
  Op op;
  size_t i = 0;
  for (const auto& operand : Op::kOperands) op.*operand.member = operands[i++];
  if constexpr (requires { Op::kWorkingMemory; })
    for (const auto& memory : Op::kWorkingMemory) op.*memory.member = operands[i++];
  if constexpr (requires { Op::kAttributes; }) {
    i = 0;
    for (const auto& attribute : Op::kAttributes) op.*attribute.member = attributes[i++];
  }
  return op;
}

}  // namespace limo
