#pragma once

#include <csignal>
#include <memory>

namespace limo::cuda::emulator {

constexpr int kDivisionSignal = SIGFPE;

// While it exists, a bad access in a kernel that this thread of the system runs ends that kernel's block and not the process:
// block.fault says what happened. Faults elsewhere go to whoever handled them before.
class FaultGuard {
 public:
  FaultGuard();
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

 private:
  // The fiber's own stack may be what has overflowed.
  std::unique_ptr<char[]> stack_;
  stack_t previous_ = {};
};

}  // namespace limo::cuda::emulator
