#pragma once

#include <string_view>
#include <vector>

#include "cpu/context.h"
#include "runtime/op_spec.h"

namespace limo {

// The instruction sets that the kernels are compiled for.
enum class Isa { kPortable = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Bf16 = 3, kAmx = 4 };
constexpr int kIsaCount = 5;
constexpr Isa kAllIsas[kIsaCount] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx};

const char* isa_name(Isa isa);
bool isa_supported(Isa isa);  // compiled in, and the processor has it
Isa best_isa();

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
  void (*run[kIsaCount])(const Call&, const CpuContext&);  // null where an instruction set is not compiled in
};

// The entry of that name, or null.
const OpEntry* find_op(std::string_view name);

}  // namespace limo
