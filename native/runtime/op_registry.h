#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "cpu/context.h"
#include "runtime/isa.h"
#include "runtime/op_spec.h"

namespace limo {

// The backend that needs an operand as working memory.
struct WorkingMemory {
  Backend backend;
  bool only_bf16;
};

struct OperandInfo {
  const char* name;
  Access access;
  const char* shape;
  ElementType element;
  bool optional;
  std::optional<WorkingMemory> working = std::nullopt;
};

// One operation with its operands in place, in the order of the entry's operands and attributes.
struct Call {
  std::vector<Tensor> tensors;
  std::vector<double> attributes;
};

// An operation on the CPU.
struct CpuOp {
  void (*check_limits)(const Call&);  // throws kProgramInvalid
  void (*run[kIsaCount])(const Call&, const CpuContext&);  // null where this build has no kernels for an instruction set
};

struct OpEntry {
  const char* name;
  std::vector<OperandInfo> operands;  // and, after them, working memory
  std::vector<const char*> attributes;
  bool moves_memory = false;     // and does nothing else, so that any queue can run it
  bool crosses_devices = false;  // takes memory that kernels of the device do not reach
  void (*check)(const Call&);         // relations that the shape letters do not say; throws kProgramInvalid
  void (*check_values)(const Call&);  // token ids, labels, sequence bounds, before a run; throws kInputInvalid
  CpuOp cpu;
};

// Every operation, in the order of op_list.h, by which other backends number theirs.
const std::vector<OpEntry>& all_ops();
// The entry of that name, or null.
const OpEntry* find_op(std::string_view name);

}  // namespace limo
