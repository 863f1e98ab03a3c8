#pragma once

#include "built_isas.h"  // LIMO_FOR_EACH_BUILT_ISA(X), which CMake writes

// The instruction sets of this architecture that there are kernels for, from the plainest to the best. A build has some of them,
// `portable` always.
#if defined(__x86_64__)
#define LIMO_FOR_EACH_ISA(X) X(portable) X(avx2) X(avx512) X(avx512bf16) X(amx)
#elif defined(__aarch64__)
#define LIMO_FOR_EACH_ISA(X) X(portable) X(neon) X(neonbf16)
#else
#define LIMO_FOR_EACH_ISA(X) X(portable)
#endif

namespace limo {

#define LIMO_NAME(isa) isa,
enum class Isa { LIMO_FOR_EACH_ISA(LIMO_NAME) };
constexpr Isa kAllIsas[] = {
#define LIMO_VALUE(isa) Isa::isa,
    LIMO_FOR_EACH_ISA(LIMO_VALUE)};
#undef LIMO_NAME
#undef LIMO_VALUE
constexpr int kIsaCount = sizeof(kAllIsas) / sizeof(kAllIsas[0]);

const char* isa_name(Isa isa);
bool isa_built(Isa isa);      // this build has kernels for it
bool isa_supported(Isa isa);  // the processor and the system have it
Isa best_isa();               // the best that is both

}  // namespace limo
