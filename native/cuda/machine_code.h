#pragma once

#include <string>

namespace limo::cuda {

// Capabilities for which the library has machine code of its kernels for 8.0; for 9.0 it has other kernels. The emulator stands in for both.
#if !defined(LIMO_CUDA_MACHINE_CODE)
#define LIMO_CUDA_MACHINE_CODE 80
#endif
constexpr int kMachineCode[] = {LIMO_CUDA_MACHINE_CODE};

// The machine code, of what was built, that a device of a capability (86 for 8.6) runs: the newest of its generation that is not newer than
// the device. 0: there is none.
template <int N>
constexpr int machine_code_for(int capability, const int (&built)[N]) {
  if (capability == 90) return 90;
  int best = 0;
  for (const int code : built)
    if (code / 10 == capability / 10 && code <= capability && code > best) best = code;
  return best;
}
constexpr int kExample[] = {80, 86, 89, 120};
static_assert(machine_code_for(80, kExample) == 80 && machine_code_for(87, kExample) == 86 && machine_code_for(89, kExample) == 89);
static_assert(machine_code_for(90, kExample) == 90 && machine_code_for(100, kExample) == 0 && machine_code_for(121, kExample) == 120);

inline std::string code_for(int capability) {
  const int code = machine_code_for(capability, kMachineCode);
  if (code > 0) return "machine code for sm_" + std::to_string(code) + (code == 90 ? "a" : "");
  return "PTX for sm_80, which the driver compiles at the first start";
}

}  // namespace limo::cuda
