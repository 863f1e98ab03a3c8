#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/emulator/async_proxy.h"
#include "cuda/emulator/fiber.h"
#include "cuda/emulator/memory.h"

namespace limo::cuda::emulator {

constexpr int kWarp = 32;
constexpr int kMostThreads = 1024;
constexpr int kMostWarps = kMostThreads / kWarp;
constexpr int kNamedBarriers = 16;
// Offset of dynamic shared memory in the shared window, as on devices since sm_80: an address computed without shared_address() is then
// invalid.
constexpr uint32_t kFirstSharedAddress = 1024;
constexpr size_t kSharedAlignment = 1024;

struct Launch {
  void (*run_thread)(const void* arguments);  // the kernel, called with its arguments
  const void* arguments;
  dim3 grid, block;
  uint32_t shared_bytes;
  uint64_t seed;
};

enum class Collective { kShuffle, kSyncWarp, kLoadMatrix, kLoadTransposed, kMma, kWgmmaFence, kWgmma, kWgmmaCommit, kWgmmaWait };

struct Warp {
  uint32_t unstarted = 0;  // lanes whose thread has not begun
  uint32_t ready = 0;      // lanes whose thread could go on
  uint32_t waiting = 0;    // lanes at the open collective
  uint32_t mask = 0;       // lanes that the open collective is for
  Collective collective = Collective::kShuffle;
  Fiber* lanes[kWarp] = {};
};

// Executes a warp collective, from the arguments of all of its lanes.
using CollectiveBody = void (*)(Block& block, Fiber& last, Warp& warp);

// State of a barrier: __syncthreads (number 0) or a named one.
struct Barrier {
  int arrived = 0;
  int threads = 0;  // it is for so many; 0: nobody has arrived
  uint32_t waiting[kMostWarps] = {};
};

// A signal that a kernel's code raised.
struct Fault {
  int signal = 0;  // 0: none
  void* address = nullptr;
  const Fiber* fiber = nullptr;
};

// Executes blocks of threads, one after another, on one thread of the system. Threads run one at a time, each until it has to
// wait or ends; who is next is drawn from a seeded sequence, within bounds that find mistakes: a warp is never half way into a
// collective while others run, and he who completes a barrier often is the last to go on.
class Block {
 public:
  Block();

  // Returns what went wrong, empty if nothing. After an error no other block can run.
  std::string run(const Launch& launch, uint64_t number);

  // ---- for the words that kernels are written in, called from a kernel's thread ----

  // Leaves the kernel with an error of the thread `by`.
  [[noreturn]] void fail(const Fiber& by, const char* format, ...) __attribute__((format(printf, 3, 4)));

  // All lanes of `mask` meet. nullptr for the one that came last: it has to complete(), which does what there is to do for all of
  // them. Else the fiber to switch to; when it is this one's turn again, that is done. See collectively().
  Fiber* meet(Fiber& lane, Collective collective, uint32_t mask, void* arguments);
  void complete(Fiber& last, CollectiveBody body);

  void sync(Fiber& thread, int barrier, int threads);
  void arrive(Fiber& thread, int barrier, int threads);

  void wait_at_mbarrier(Fiber& thread, uint32_t address, int parity);
  // Lets those go on that waited for the phase that has now ended, before the one that ended it.
  void wake_from_mbarrier(Fiber& by, uint32_t address, int parity);
  void maybe_yield(Fiber& thread);

  // The bytes at a shared address; fails unless all of them are the block's and the address is a multiple of `alignment`.
  unsigned char* shared_bytes(const Fiber& by, const char* operation, uint32_t address, size_t bytes, size_t alignment);
  uint32_t shared_address(const Fiber& by, const void* pointer) const;
  uint32_t shared_size() const { return launch_->shared_bytes; }

  uint32_t random(uint32_t below);

  dim3 index, size, grid;
  unsigned char* shared = nullptr;
  Warp warps[kMostWarps];
  AsyncProxy proxy;  // TMA and wgmma, and their work in flight

  // ---- for the signal handler ----
  void* scheduler_stack_pointer = nullptr;
  Fault fault;

 private:
  friend void run_fiber();

  void start(const Launch& launch, uint64_t number);
  int choose(int warp, const Fiber* last);
  int choose_lane(uint32_t lanes, int after) const;
  Fiber* prepare(int thread);  // the fiber of a thread that runs next
  void assign(Fiber& fiber, int thread);
  void yield(Fiber& thread, int to_warp);
  Fiber* choose_other(Fiber& thread, Wait reason);
  void run_others(Fiber& thread, Wait reason);
  [[noreturn]] void report_deadlock(const Fiber& by);
  void end_thread(Fiber& fiber);
  void release(Barrier& barrier);
  void leave(Fiber& fiber);
  std::string find_at_end() const;
  std::string describe_fault() const;
  std::string place(const Fiber& fiber) const;

  const Launch* launch_ = nullptr;
  int threads_ = 0, warp_count_ = 0;
  int alive_ = 0;
  uint64_t random_state_ = 1;
  bool ascending_ = true;               // the order of lanes
  uint32_t yield_odds_ = 1;             // one in so many arrivals yields to other threads
  const Fiber* undisturbed_ = nullptr;  // does not yield until it has to wait
  Barrier barriers_[kNamedBarriers];
  std::vector<Fiber*> mbarrier_waiters_;
  std::string error_;

  FiberStacks stacks_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_fibers_;
  std::map<uint32_t, GuardedMemory> shared_memory_;  // by size
  GuardedMemory* shared_now_ = nullptr;
};

// The lanes of a warp do something together.
[[gnu::always_inline]] inline void collectively(Collective collective, uint32_t mask, void* arguments, CollectiveBody body) {
  Fiber& lane = *current_fiber;
  Fiber* next = lane.block->meet(lane, collective, mask, arguments);
  if (next) switch_stack(&lane.stack_pointer, next->stack_pointer);
  else lane.block->complete(lane, body);
}

const char* name_of(Collective collective);

// Runs all blocks; returns what went wrong, empty if nothing.
std::string run_grid(const Launch& launch);

// 80 or 90, from the environment.
int capability();

}  // namespace limo::cuda::emulator
