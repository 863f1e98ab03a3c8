#include "cuda/emulator/block.h"

#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/emulator/fault_signal.h"

namespace limo::cuda::emulator {
namespace {

constexpr uint32_t kAllLanes = ~0u;

const char* name_of(Collective collective) {
  switch (collective) {
    case Collective::kShuffle: return "a shuffle";
    case Collective::kSyncWarp: return "__syncwarp";
    case Collective::kLoadMatrix: return "ldmatrix";
    case Collective::kLoadTransposed: return "ldmatrix.trans";
    case Collective::kMma: return "mma";
    case Collective::kWgmmaFence: return "wgmma_fence";
    case Collective::kWgmma: return "wgmma";
    case Collective::kWgmmaCommit: return "wgmma_commit";
    case Collective::kWgmmaWait: return "wgmma_wait";
  }
  return "a collective";
}

std::string coordinates(dim3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

// Not inlined, so that nothing of the thread-local variable's address outlives the switch: a fiber may go on on another thread.
[[gnu::noinline]] void switch_to(void** save, Fiber* fiber) {
  current_fiber = fiber;
  switch_stack(save, fiber->stack_pointer);
}

[[gnu::noinline]] void switch_to_scheduler(void** save, void* scheduler_stack_pointer) {
  current_fiber = nullptr;
  switch_stack(save, scheduler_stack_pointer);
}

[[gnu::noinline]] Fiber* fiber_that_runs() { return current_fiber; }

}  // namespace

// What a fiber does: threads of blocks, one after another.
void run_fiber() {
  Fiber& fiber = *fiber_that_runs();
  while (true) {
    Block& block = *fiber.block;
    block.launch_->run_thread(block.launch_->arguments);
    block.end_thread(fiber);
  }
}

Block::Block() : stacks_(kMostThreads) {}

void Block::reset_fibers() {
  free_fibers_.clear();
  for (size_t i = 0; i < fibers_.size(); ++i) {
    fibers_[i]->stack_pointer = prepare_stack(stacks_.top(static_cast<int>(i)), run_fiber);
    free_fibers_.push_back(fibers_[i].get());
  }
}

void Block::start(const Launch& launch, uint64_t number) {
  launch_ = &launch;
  grid = launch.grid;
  size = launch.block;
  index = dim3(number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y);
  threads_ = alive_ = static_cast<int>(size.x * size.y * size.z);
  warp_count_ = (threads_ + kWarp - 1) / kWarp;
  random_state_ = (launch.seed + number) * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
  ascending_ = random(2) == 0;
  undisturbed_ = nullptr;
  yield_odds_ = random(2) == 0 ? 1 : 4;
  for (int w = 0; w < warp_count_; ++w) {
    const int lanes = threads_ - w * kWarp;
    warps[w].unstarted = lanes >= kWarp ? kAllLanes : (1u << lanes) - 1;
    warps[w].ready = warps[w].waiting = 0;
  }
  for (Barrier& barrier : barriers_) barrier.arrived = barrier.threads = 0;
  if (!shared_now_ || shared_now_->bytes() != launch.shared_bytes) {
    shared_now_ = &shared_memory_.try_emplace(launch.shared_bytes, launch.shared_bytes, kSharedAlignment).first->second;
    shared = shared_now_->data();
  }
  if (launch.shared_bytes > 0) shared_now_->poison();
  proxy.start(*this, warp_count_);
  mbarrier_waiters_.clear();
  fault = {};
  error_.clear();
}

std::string Block::run(const Launch& launch, uint64_t number) {
  start(launch, number);
  if (!shared) return "no memory for the emulated shared memory";
  Fiber* first = prepare(choose(static_cast<int>(random(warp_count_))));
  switch_to(&scheduler_stack_pointer, first);
  if (fault.signal != 0) error_ = describe_fault();
  if (error_.empty()) {
    const char* unfinished = proxy.unfinished();
    if (unfinished) error_ = std::string(unfinished) + ", block " + coordinates(index);
  }
  if (error_.empty() && launch.shared_bytes > 0 && !shared_now_->intact()) {
    error_ = "a store just outside of the " + std::to_string(launch.shared_bytes) + " bytes of shared memory, block " + coordinates(index);
  }
  if (!error_.empty()) reset_fibers();
  return error_;
}

uint32_t Block::random(uint32_t below) {
  random_state_ = random_state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(((random_state_ >> 33) * below) >> 31);
}

// ---- who runs ----

// The next of some lanes after one of them, around the warp.
int Block::choose_lane(uint32_t lanes, int after) const {
  if (ascending_) return (after + 1 + std::countr_zero(std::rotr(lanes, after + 1))) & (kWarp - 1);
  return (after - 1 - std::countl_zero(std::rotr(lanes, after))) & (kWarp - 1);
}

// A thread that can run: of this warp, else of any. −1 when there is none.
int Block::choose(int warp) {
  const Fiber* last = fiber_that_runs();
  uint32_t lanes = warps[warp].ready | warps[warp].unstarted;
  if (lanes == 0) {
    const int first = static_cast<int>(random(warp_count_));
    for (int i = 0; i < warp_count_ && lanes == 0; ++i) {
      warp = first + i < warp_count_ ? first + i : first + i - warp_count_;
      lanes = warps[warp].ready | warps[warp].unstarted;
    }
    if (lanes == 0) return -1;
  }
  const int after = last && last->warp == warp ? last->lane : ascending_ ? kWarp - 1 : 0;
  return warp * kWarp + choose_lane(lanes, after);
}

void Block::assign(Fiber& fiber, int thread) {
  fiber.block = this;
  fiber.thread = thread;
  fiber.warp = thread / kWarp;
  fiber.lane = thread % kWarp;
  fiber.index = size.y * size.z == 1 ? dim3(thread, 0, 0) : dim3(thread % size.x, thread / size.x % size.y, thread / size.x / size.y);
  fiber.waits_for = Wait::kNothing;
  if (!fiber.copies.empty() || !fiber.copy_groups.empty()) {
    fiber.copies.clear();
    fiber.copy_groups.clear();
    fiber.uncommitted_copies = 0;
  }
  Warp& warp = warps[fiber.warp];
  warp.unstarted &= ~(1u << fiber.lane);
  warp.lanes[fiber.lane] = &fiber;
}

Fiber* Block::prepare(int thread) {
  Warp& warp = warps[thread / kWarp];
  const uint32_t bit = 1u << thread % kWarp;
  if (warp.ready & bit) {
    warp.ready &= ~bit;
    Fiber* fiber = warp.lanes[thread % kWarp];
    fiber->waits_for = Wait::kNothing;
    return fiber;
  }
  if (free_fibers_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>());
    fibers_.back()->stack_pointer = prepare_stack(stacks_.top(static_cast<int>(fibers_.size()) - 1), run_fiber);
    free_fibers_.push_back(fibers_.back().get());
  }
  Fiber* fiber = free_fibers_.back();
  free_fibers_.pop_back();
  assign(*fiber, thread);
  return fiber;
}

// Who runs while this thread waits; it may be the same one, if what it waits for has come.
Fiber* Block::choose_other(Fiber& thread, Wait reason) {
  thread.waits_for = reason;
  if (undisturbed_ == &thread) undisturbed_ = nullptr;
  // Mostly the warp's next lane is at the same place as this one was.
  Warp& warp = warps[thread.warp];
  if (warp.ready != 0 && warp.unstarted == 0) {
    const int lane = choose_lane(warp.ready, thread.lane);
    warp.ready &= ~(1u << lane);
    Fiber* fiber = warp.lanes[lane];
    fiber->waits_for = Wait::kNothing;
    return fiber;
  }
  int next = choose(thread.warp);
  while (next < 0 && proxy.deliver_one(*this, thread)) next = choose(thread.warp);
  if (next < 0) report_deadlock(thread);
  return prepare(next);
}

// Gives the turn to another thread; returns when this one may go on.
void Block::run_others(Fiber& thread, Wait reason) {
  Fiber* fiber = choose_other(thread, reason);
  if (fiber != &thread) switch_to(&thread.stack_pointer, fiber);
}

// Goes on after some thread of a warp, or of any.
void Block::yield(Fiber& thread, int to_warp) {
  const int next = choose(to_warp);
  if (next < 0) return;
  warps[thread.warp].ready |= 1u << thread.lane;
  switch_to(&thread.stack_pointer, prepare(next));
}

void Block::maybe_yield(Fiber& thread) {
  if (&thread != undisturbed_ && random(yield_odds_) == 0) yield(thread, static_cast<int>(random(warp_count_)));
}

// The fiber's thread has ended; returns when the fiber has another one.
void Block::end_thread(Fiber& fiber) {
  --alive_;
  fiber.waits_for = Wait::kNextThread;
  Barrier& all = barriers_[0];
  // Threads that have ended are not waited for.
  if (alive_ > 0 && all.arrived == alive_) release(all);
  int next = choose(fiber.warp);
  if (alive_ > 0) {
    while (next < 0 && proxy.deliver_one(*this, fiber)) next = choose(fiber.warp);
    if (next < 0) report_deadlock(fiber);
    if (!(warps[next / kWarp].ready >> next % kWarp & 1)) {
      return assign(fiber, next);
    }
  }
  free_fibers_.push_back(&fiber);
  if (alive_ == 0) switch_to_scheduler(&fiber.stack_pointer, scheduler_stack_pointer);
  else switch_to(&fiber.stack_pointer, prepare(next));
}

// ---- where threads meet ----

Fiber* Block::meet(Fiber& lane, Collective collective, uint32_t mask, void* arguments) {
  Warp& warp = warps[lane.warp];
  const uint32_t bit = 1u << lane.lane;
  if (!(mask & bit)) fail(lane, "%s: expected a lane of its own mask but received lane %d for mask %08x", name_of(collective), lane.lane, mask);
  if (warp.waiting == 0) {
    warp.mask = mask;
    warp.collective = collective;
  } else if (warp.collective != collective || warp.mask != mask) {
    fail(lane, "divergent warp: expected %s for mask %08x, where other lanes of the warp are, but received %s for mask %08x",
         name_of(warp.collective), warp.mask, name_of(collective), mask);
  }
  lane.arguments = arguments;
  if ((warp.waiting | bit) == mask) return nullptr;
  warp.waiting |= bit;
  return current_fiber = choose_other(lane, Wait::kCollective);
}

void Block::complete(Fiber& last, CollectiveBody body) {
  Warp& warp = warps[last.warp];
  body(*this, last, warp);
  warp.ready |= warp.waiting;
  warp.waiting = 0;
}

void Block::release(Barrier& barrier) {
  barrier.arrived = barrier.threads = 0;
  for (int w = 0; w < warp_count_; ++w) {
    warps[w].ready |= barrier.waiting[w];
    barrier.waiting[w] = 0;
  }
}

void Block::sync(Fiber& thread, int barrier, int threads) {
  Barrier& meeting = barriers_[barrier];
  arrive(thread, barrier, threads);
  if (meeting.arrived == 0) return maybe_yield(thread);  // the last one
  meeting.waiting[thread.warp] |= 1u << thread.lane;
  thread.barrier = barrier;
  run_others(thread, Wait::kBarrier);
}

void Block::arrive(Fiber& thread, int barrier, int threads) {
  if (barrier < 0 || barrier >= kNamedBarriers) fail(thread, "named barrier: expected a number from 1 to 15 but received %d", barrier);
  Barrier& meeting = barriers_[barrier];
  if (barrier == 0) {
    threads = alive_;
  } else if (threads <= 0 || threads % kWarp != 0 || threads > threads_) {
    fail(thread, "named barrier %d: expected whole warps of the block's %d threads but received %d", barrier, threads_, threads);
  } else if (meeting.arrived > 0 && meeting.threads != threads) {
    fail(thread, "named barrier %d: expected %d threads, as others do, but received %d", barrier, meeting.threads, threads);
  }
  meeting.threads = threads;
  if (++meeting.arrived == threads) release(meeting);
}

void Block::wait_at_mbarrier(Fiber& thread, uint32_t address, int parity) {
  thread.barrier = address;
  thread.parity = parity;
  mbarrier_waiters_.push_back(&thread);
  run_others(thread, Wait::kMbarrier);
}

void Block::wake_from_mbarrier(Fiber& by, uint32_t address, int parity) {
  const Fiber* woken = nullptr;
  std::erase_if(mbarrier_waiters_, [&](Fiber* waiter) {
    if (waiter->barrier != address || waiter->parity != parity) return false;
    warps[waiter->warp].ready |= 1u << waiter->lane;
    woken = waiter;
    return true;
  });
  if (!woken || by.waits_for != Wait::kNothing) return;
  // Mostly it then gets as far as it can: whatever was released to it too early is overwritten.
  if (random(4) != 0) undisturbed_ = woken;
  yield(by, woken->warp);
}

// ---- shared memory ----

unsigned char* Block::shared_bytes(const Fiber& by, const char* operation, uint32_t address, size_t bytes, size_t alignment) {
  const size_t end = kFirstSharedAddress + launch_->shared_bytes;
  if (address < kFirstSharedAddress || address > end || bytes > end - address) {
    fail(by, "%s: expected %zu bytes inside of shared memory's %u but received offset %lld", operation, bytes, launch_->shared_bytes,
         static_cast<long long>(address) - kFirstSharedAddress);
  }
  if (address % alignment != 0) {
    fail(by, "%s: expected an offset into shared memory that is a multiple of %zu but received %u", operation, alignment,
         address - kFirstSharedAddress);
  }
  return shared + (address - kFirstSharedAddress);
}

uint32_t Block::shared_address(const Fiber& by, const void* pointer) const {
  const ptrdiff_t offset = static_cast<const unsigned char*>(pointer) - shared;
  if (offset < 0 || offset > static_cast<ptrdiff_t>(launch_->shared_bytes)) {
    const_cast<Block*>(this)->fail(by, "shared_address: expected a pointer into shared memory but received one that is %s",
                                   describe_device_address(pointer).c_str());
  }
  return kFirstSharedAddress + static_cast<uint32_t>(offset);
}

// ---- errors ----

std::string Block::place(const Fiber& fiber) const { return "block " + coordinates(index) + ", thread " + coordinates(fiber.index); }

void Block::fail(const Fiber& by, const char* format, ...) {
  char message[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  error_ = std::string(message) + ", " + place(by);
  void* left;
  switch_to_scheduler(&left, scheduler_stack_pointer);
  std::abort();  // nobody resumes a thread that has failed
}

void Block::report_deadlock(const Fiber& by) {
  std::string waits;
  const auto add = [&](int count, const Fiber& first, const std::string& what) {
    if (count > 0) waits += (waits.empty() ? "" : "; ") + std::to_string(count) + " wait at " + what + ", thread " + std::to_string(first.thread) + " the first";
  };
  for (int w = 0; w < warp_count_; ++w) {
    if (warps[w].waiting == 0) continue;
    add(std::popcount(warps[w].waiting), *warps[w].lanes[std::countr_zero(warps[w].waiting)],
        std::string(name_of(warps[w].collective)) + " for " + std::to_string(std::popcount(warps[w].mask)) + " lanes of a warp");
    break;
  }
  for (int b = 0; b < kNamedBarriers; ++b) {
    for (int w = 0; w < warp_count_; ++w) {
      if (barriers_[b].waiting[w] == 0) continue;
      const std::string name = b == 0 ? "__syncthreads" : "named barrier " + std::to_string(b);
      add(barriers_[b].arrived, *warps[w].lanes[std::countr_zero(barriers_[b].waiting[w])], name + " for " + std::to_string(barriers_[b].threads) + " threads");
      break;
    }
  }
  while (!mbarrier_waiters_.empty()) {
    const Fiber& first = *mbarrier_waiters_.front();
    const size_t count = std::erase_if(mbarrier_waiters_, [&](const Fiber* waiter) { return waiter->barrier == first.barrier && waiter->parity == first.parity; });
    add(static_cast<int>(count), first, "the mbarrier at offset " + std::to_string(first.barrier - kFirstSharedAddress) + " for parity " + std::to_string(first.parity));
  }
  fail(by, "deadlock of the %d threads that have not ended: %s", alive_, waits.c_str());
}

std::string Block::describe_fault() const {
  std::string what;
  if (fault.signal == kDivisionSignal) {
    what = "a division of integers by zero";
  } else if (fault.address == nullptr) {
    what = "an access through a null pointer, or one of a vector that is not aligned to its size";
  } else if (stacks_.contains(fault.address)) {
    what = "more local variables than fit on an emulated thread's stack";
  } else if (const std::string in_shared = shared_now_->place(fault.address); !in_shared.empty()) {
    what = "an access " + in_shared + " the shared memory of " + std::to_string(launch_->shared_bytes) + " bytes";
  } else {
    what = "an access " + describe_device_address(fault.address);
  }
  return what + ", " + place(*fault.fiber);
}

}  // namespace limo::cuda::emulator
