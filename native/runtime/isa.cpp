#include "runtime/isa.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace limo {

#if defined(__x86_64__)
namespace {

// Linux gives AMX's tile registers, 8 KiB a thread, to processes that ask for them. The answer holds for all threads.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool may = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return may;
}

}  // namespace

bool isa_supported(Isa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  switch (isa) {
    case Isa::portable: return true;
    case Isa::avx2: return avx2;
    case Isa::avx512: return avx512;
    case Isa::avx512bf16: return bf16;
    case Isa::amx: return bf16 && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && may_use_tiles();
  }
  return false;
}
#elif defined(__aarch64__)
bool isa_supported(Isa isa) {
  constexpr unsigned long kBf16 = 1ul << 14;  // HWCAP2_BF16: bfdot and bfmmla
  return isa != Isa::neonbf16 || (getauxval(AT_HWCAP2) & kBf16) != 0;
}
#else
bool isa_supported(Isa) { return true; }
#endif

const char* isa_name(Isa isa) {
#define LIMO_NAME(name) #name,
  static constexpr const char* names[] = {LIMO_FOR_EACH_ISA(LIMO_NAME)};
#undef LIMO_NAME
  return names[static_cast<int>(isa)];
}

bool isa_built(Isa isa) {
#define LIMO_IS(name) || isa == Isa::name
  return false LIMO_FOR_EACH_BUILT_ISA(LIMO_IS);
#undef LIMO_IS
}

Isa best_isa() {
  Isa best = Isa::portable;
  for (Isa isa : kAllIsas)
    if (isa_built(isa) && isa_supported(isa)) best = isa;
  return best;
}

}  // namespace limo
