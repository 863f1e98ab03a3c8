#include "runtime/op_registry.h"

#include "cpu/limits.h"
#include "ops/op_checks.h"
#include "ops/op_list.h"
#include "runtime/op_bind.h"

namespace limo {

#define LIMO_DECLARE_RUN(Op) void run(const Op&, const CpuContext&);
#define LIMO_DECLARE(isa)              \
  namespace isa {                      \
  LIMO_FOR_EACH_OP(LIMO_DECLARE_RUN)   \
  }
LIMO_FOR_EACH_BUILT_ISA(LIMO_DECLARE)
#undef LIMO_DECLARE
#undef LIMO_DECLARE_RUN

namespace {

template <class Op>
Op bind(const Call& call) {
  return limo::bind<Op>(call.tensors.data(), call.attributes.data());
}

template <class Op>
OpEntry make_entry() {
  OpEntry entry{};
  entry.name = Op::kName;
  for (const auto& o : Op::kOperands) entry.operands.push_back({o.name, o.access, o.shape, o.element, o.optional});
  if constexpr (requires { Op::kWorkingMemory; })
    for (const auto& m : Op::kWorkingMemory)
      entry.operands.push_back({m.name, Access::kWrite, m.shape, m.element, true, WorkingMemory{m.backend, m.only_bf16}});
  if constexpr (requires { Op::kAttributes; })
    for (const auto& a : Op::kAttributes) entry.attributes.push_back(a.name);
  if constexpr (requires { Op::kMovesMemory; }) entry.moves_memory = Op::kMovesMemory;
  if constexpr (requires { Op::kCrossesDevices; }) entry.crosses_devices = Op::kCrossesDevices;
  entry.check = [](const Call& call) { check(bind<Op>(call)); };
  entry.check_values = [](const Call& call) { check_values(bind<Op>(call)); };
  entry.cpu.check_limits = [](const Call& call) { check_cpu_limits(bind<Op>(call)); };
#define LIMO_SET_RUN(isa) \
  entry.cpu.run[static_cast<int>(Isa::isa)] = [](const Call& call, const CpuContext& context) { isa::run(bind<Op>(call), context); };
  LIMO_FOR_EACH_BUILT_ISA(LIMO_SET_RUN)
#undef LIMO_SET_RUN
  return entry;
}

}  // namespace

const std::vector<OpEntry>& all_ops() {
#define LIMO_ENTRY(Op) make_entry<Op>(),
  // Never destroyed: a process may end, and run the destructors of statics, while a device's thread is in a program.
  static const auto& entries = *new std::vector<OpEntry>{LIMO_FOR_EACH_OP(LIMO_ENTRY)};
#undef LIMO_ENTRY
  return entries;
}

const OpEntry* find_op(std::string_view name) {
  for (const OpEntry& entry : all_ops())
    if (name == entry.name) return &entry;
  return nullptr;
}

}  // namespace limo
