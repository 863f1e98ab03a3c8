#include "cuda/emulator/fiber.h"

#include <sys/mman.h>

#include "core/error.h"

asm(R"(
.text
.globl limo_emulator_resume
.hidden limo_emulator_resume
limo_emulator_resume:
  ret
)");

namespace limo::cuda::emulator {

constexpr size_t kPage = 4096;

void* prepare_stack(void* top, void (*entry)()) {
  void** word = static_cast<void**>(top);
  *--word = nullptr;  // entry's return address, which also leaves the stack aligned as after a call
  *--word = reinterpret_cast<void*>(entry);
  return word;
}

FiberStacks::FiberStacks(int count) : count_(count) {
  void* mapping = mmap(nullptr, count * kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping == MAP_FAILED) throw Error(ErrorCode::kOutOfMemory, "no memory for the stacks of emulated threads");
  mapping_ = static_cast<unsigned char*>(mapping);
}

FiberStacks::~FiberStacks() { munmap(mapping_, count_ * kBytes); }

void* FiberStacks::top(int number) {
  unsigned char* stack = mapping_ + number * kBytes;
  mprotect(stack + kPage, kBytes - kPage, PROT_READ | PROT_WRITE);
  // Frames of all fibers would otherwise compete for the same few sets of the cache.
  return stack + kBytes - number % 8 * 512;
}

bool FiberStacks::contains(const void* address) const {
  const auto* byte = static_cast<const unsigned char*>(address);
  return byte >= mapping_ && byte < mapping_ + count_ * kBytes;
}

}  // namespace limo::cuda::emulator
