#pragma once

#include <string_view>
#include <vector>

#include "cpu/context.h"
#include "runtime/isa.h"
#include "runtime/op_spec.h"

namespace limo {

struct OperandInfo {
  const char* name;
  Access access;
  const char* shape;
  ElementType element;
  bool optional;
};

// One operation with its operands in place, in the order of the entry's operands and attributes.
struct Call {
  std::vector<Tensor> tensors;
  std::vector<double> attributes;
};

struct OpEntry {
  const char* name;
  std::vector<OperandInfo> operands;
  std::vector<const char*> attributes;
  void (*check)(const Call&);         // relations that the shape letters do not say; throws kProgramInvalid
  void (*check_values)(const Call&);  // token ids, labels, sequence bounds, before a run; throws kInputInvalid
  void (*run[kIsaCount])(const Call&, const CpuContext&);  // null where this build has no kernels for an instruction set
};

// Every operation, in the order of op_list.h.
const std::vector<OpEntry>& all_ops();
// The entry of that name, or null.
const OpEntry* find_op(std::string_view name);

}  // namespace limo
