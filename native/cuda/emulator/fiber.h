#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/emulator/vector_types.h"

#if !defined(__x86_64__)
#error "the CUDA emulator switches between stacks in x86-64 assembly; other processors need their own switch_stack"
#endif

namespace limo::cuda::emulator {

class Block;

enum class Wait { kNothing, kCollective, kBarrier, kMbarrier, kNextThread };

// cp.async of one thread: where the data goes, and where it is read from when the thread waits for it.
struct AsyncCopy {
  unsigned char* to;
  const void* from;  // nullptr: zeros
};

// A stack, and the CUDA thread that runs on it now. When that ends, another of the same or a later block takes its place.
struct alignas(64) Fiber {
  void* stack_pointer = nullptr;  // saved while another fiber runs
  Block* block = nullptr;
  dim3 index;  // threadIdx
  int thread = 0, warp = 0, lane = 0;

  Wait waits_for = Wait::kNothing;
  void* arguments = nullptr;        // arguments of the collective it waits at
  uint32_t barrier = 0;             // the named barrier's number or the mbarrier's address that it waits at
  int parity = 0;                   // parity of the mbarrier's phase that it waits for
  std::vector<AsyncCopy> copies;    // issued and not yet made, oldest first
  std::vector<size_t> copy_groups;  // sizes of the committed groups, oldest first
  size_t uncommitted_copies = 0;
};

// The fiber that runs on this thread of the system; nullptr outside of kernels. A library that is opened at run time may have
// a few bytes of static thread-local memory, and with it this is one instruction.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local Fiber* current_fiber = nullptr;

// Leaves this stack, continues at `to`, and comes back when somebody switches to *save. On top of a stack that was left lies the
// address where it goes on. Inlined into kernels: the processor foresees a jump to where the last lane went on, but no return
// from a call that another lane has made. The area below the stack pointer may be in use.
[[gnu::always_inline]] inline void switch_stack(void** save, void* to) {
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n"
      "pushq %%rbp\n"
      "leaq 1f(%%rip), %%rax\n"
      "pushq %%rax\n"
      "movq %%rsp, (%0)\n"
      "movq %1, %%rsp\n"
      "popq %%rax\n"
      "jmpq *%%rax\n"
      "1:\n"
      "popq %%rbp\n"
      "leaq 128(%%rsp), %%rsp\n"
      : "+D"(save), "+S"(to)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}

// With the stack pointer of a stack that was left: goes on there. A signal handler returns to it.
extern "C" char limo_emulator_resume[];

// Prepares a stack that ends at `top` to start in `entry`, which must not return; returns its stack pointer.
void* prepare_stack(void* top, void (*entry)());

// Stacks of all fibers of a block, each above a page that nobody may touch.
class FiberStacks {
 public:
  static constexpr size_t kBytes = 128 << 10;

  explicit FiberStacks(int count);
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;

  void* top(int number);
  bool contains(const void* address) const;

 private:
  unsigned char* mapping_;
  int count_;
};

}  // namespace limo::cuda::emulator
