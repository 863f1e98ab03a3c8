#include "runtime/op_registry.h"

#ifdef LIMO_X86
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "ops/op_checks.h"
#include "ops/op_list.h"
#include "runtime/op_bind.h"

namespace limo {

#define LIMO_DECLARE(Op) void run(const Op&, const CpuContext&);
namespace portable {
LIMO_FOR_EACH_OP(LIMO_DECLARE)
}
#ifdef LIMO_X86
namespace avx2 {
LIMO_FOR_EACH_OP(LIMO_DECLARE)
}
namespace avx512 {
LIMO_FOR_EACH_OP(LIMO_DECLARE)
}
namespace avx512bf16 {
LIMO_FOR_EACH_OP(LIMO_DECLARE)
}
namespace amx {
LIMO_FOR_EACH_OP(LIMO_DECLARE)
}
#endif
#undef LIMO_DECLARE

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
  if constexpr (requires { Op::kAttributes; })
    for (const auto& a : Op::kAttributes) entry.attributes.push_back(a.name);
  entry.check = [](const Call& call) { check(bind<Op>(call)); };
  entry.check_values = [](const Call& call) { check_values(bind<Op>(call)); };
  entry.run[0] = [](const Call& call, const CpuContext& context) { portable::run(bind<Op>(call), context); };
#ifdef LIMO_X86
  entry.run[1] = [](const Call& call, const CpuContext& context) { avx2::run(bind<Op>(call), context); };
  entry.run[2] = [](const Call& call, const CpuContext& context) { avx512::run(bind<Op>(call), context); };
  entry.run[3] = [](const Call& call, const CpuContext& context) { avx512bf16::run(bind<Op>(call), context); };
  entry.run[4] = [](const Call& call, const CpuContext& context) { amx::run(bind<Op>(call), context); };
#endif
  return entry;
}

}  // namespace

#ifdef LIMO_X86
namespace {

// Linux gives AMX's tile registers, 8 KiB a thread, to processes that ask for them. The answer holds for all threads.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool may = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return may;
}

}  // namespace
#endif

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return "portable";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
    case Isa::kAvx512Bf16: return "avx512bf16";
    case Isa::kAmx: return "amx";
  }
  return "portable";
}

bool isa_supported(Isa isa) {
#ifdef LIMO_X86
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx512) return avx512;
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  if (isa == Isa::kAvx512Bf16) return bf16;
  if (isa == Isa::kAmx) return bf16 && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && may_use_tiles();
#endif
  return isa == Isa::kPortable;
}

Isa best_isa() {
  for (Isa isa : {Isa::kAmx, Isa::kAvx512Bf16, Isa::kAvx512, Isa::kAvx2})
    if (isa_supported(isa)) return isa;
  return Isa::kPortable;
}

const OpEntry* find_op(std::string_view name) {
#define LIMO_ENTRY(Op) make_entry<Op>(),
  // Never destroyed: a process may end, and run the destructors of statics, while a device's thread is in a program.
  static const auto& entries = *new std::vector<OpEntry>{LIMO_FOR_EACH_OP(LIMO_ENTRY)};
#undef LIMO_ENTRY
  for (const OpEntry& entry : entries)
    if (name == entry.name) return &entry;
  return nullptr;
}

}  // namespace limo
