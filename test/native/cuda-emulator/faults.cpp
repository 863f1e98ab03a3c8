#include <cstdio>
#include <cstring>
#include <string>

#include "core/error.h"
#include "fault_case.h"

// Kernels with planted mistakes. `limo_emulator_faults` names them; with a name it runs that one and succeeds if the emulator
// caught the mistake; with `correct` after the name it runs the kernel without the mistake and succeeds if its numbers are right.
namespace {

using limo::cuda::FaultCase;

template <class Body>
void each_case(const Body& body) {
  for (const auto cases : {limo::cuda::thread_faults(), limo::cuda::memory_faults(), limo::cuda::hopper_faults(), limo::cuda::stream_faults()}) {
    for (const FaultCase& fault : cases) body(fault);
  }
}

bool caught(const FaultCase& fault) {
  try {
    const bool right = fault.run(true);
    std::printf("%s numbers, no message\n", right ? "right" : "wrong");
    return !right && !fault.message;
  } catch (const limo::Error& error) {
    std::printf("%s\n", error.what());
    return fault.message && std::strstr(error.what(), fault.message);
  }
}

bool passes(const FaultCase& fault) {
  try {
    const bool right = fault.run(false);
    std::printf("%s numbers\n", right ? "right" : "wrong");
    return right;
  } catch (const limo::Error& error) {
    std::printf("%s\n", error.what());
    return false;
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    each_case([](const FaultCase& fault) { std::printf("%s\n", fault.name); });
    return 0;
  }
  const bool correct = count > 2 && std::string(arguments[2]) == "correct";
  bool found = false, as_expected = false;
  each_case([&](const FaultCase& fault) {
    if (std::string(fault.name) != arguments[1]) return;
    found = true;
    as_expected = correct ? passes(fault) : caught(fault);
  });
  if (!found) std::printf("no fault has the name %s\n", arguments[1]);
  return found && as_expected ? 0 : 1;
}
