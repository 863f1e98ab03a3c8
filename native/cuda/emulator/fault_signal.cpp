#include "cuda/emulator/fault_signal.h"

#include <dlfcn.h>
#include <ucontext.h>

#include <mutex>

#include "cuda/emulator/block.h"
#include "cuda/emulator/fiber.h"

namespace limo::cuda::emulator {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, kDivisionSignal};
struct sigaction previous_handlers[NSIG];

// Passes the signal to the handler before this one.
void forward(int signal, siginfo_t* info, void* context) {
  const struct sigaction& previous = previous_handlers[signal];
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  // The instruction is executed again, and the system does what it does by default.
  sigaction(signal, &previous, nullptr);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  Fiber* fiber = current_fiber;
  if (!fiber) return forward(signal, info, context);
  fiber->block->fault = {signal, info->si_addr, fiber};
  current_fiber = nullptr;
  // Returning from the handler goes on in the scheduler, as if the fiber had switched to it.
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  registers[REG_RSP] = reinterpret_cast<greg_t>(fiber->block->scheduler_stack_pointer);
  registers[REG_RIP] = reinterpret_cast<greg_t>(limo_emulator_resume);
}

void install() {
  // The handler stays, so its code must.
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&on_fault), &self) != 0) dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
  for (const int signal : kSignals) {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, &previous_handlers[signal]);
  }
}

}  // namespace

FaultGuard::FaultGuard() : stack_(std::make_unique<char[]>(kStackBytes)) {
  static std::once_flag installed;
  std::call_once(installed, install);
  stack_t own = {};
  own.ss_sp = stack_.get();
  own.ss_size = kStackBytes;
  sigaltstack(&own, &previous_);
}

FaultGuard::~FaultGuard() { sigaltstack(&previous_, nullptr); }

}  // namespace limo::cuda::emulator
