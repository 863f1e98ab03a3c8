#include "cuda/emulator/block.h"

#include <bit>

namespace limo::cuda::emulator {
namespace {

// Not inlined, so that nothing of the thread-local variable's address outlives the switch: a fiber may go on on another thread.
[[gnu::noinline]] void switch_to(void** save, Fiber* fiber) {
  current_fiber = fiber;
  switch_stack(save, fiber->stack_pointer);
}

[[gnu::noinline]] Fiber* fiber_that_runs() { return current_fiber; }

}  // namespace

// Main loop of a fiber: runs threads of blocks, one after another.
void run_fiber() {
  Fiber& fiber = *fiber_that_runs();
  while (true) {
    Block& block = *fiber.block;
    block.launch_->run_thread(block.launch_->arguments);
    block.end_thread(fiber);
  }
}

Block::Block() : stacks_(kMostThreads) {}

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
    warps[w].unstarted = lanes >= kWarp ? ~0u : (1u << lanes) - 1;
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
  Fiber* first = prepare(choose(static_cast<int>(random(warp_count_)), nullptr));
  switch_to(&scheduler_stack_pointer, first);
  if (fault.signal != 0) error_ = describe_fault();
  return error_.empty() ? find_at_end() : error_;
}

uint32_t Block::random(uint32_t below) {
  random_state_ = random_state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(((random_state_ >> 33) * below) >> 31);
}

// Goes back to run().
[[gnu::noinline]] void Block::leave(Fiber& fiber) {
  current_fiber = nullptr;
  switch_stack(&fiber.stack_pointer, scheduler_stack_pointer);
}

// ---- who runs ----

// The next of some lanes after one of them, around the warp.
int Block::choose_lane(uint32_t lanes, int after) const {
  if (ascending_) return (after + 1 + std::countr_zero(std::rotr(lanes, after + 1))) & (kWarp - 1);
  return (after - 1 - std::countl_zero(std::rotr(lanes, after))) & (kWarp - 1);
}

// A thread that can run after `last`: of this warp, else of any. −1 when there is none.
int Block::choose(int warp, const Fiber* last) {
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

inline void Block::assign(Fiber& fiber, int thread) {
  fiber.block = this;
  fiber.thread = thread;
  fiber.warp = thread / kWarp;
  fiber.lane = thread & (kWarp - 1);
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

// The thread that runs while this one waits; itself, if its wait is over.
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
  int next = choose(thread.warp, &thread);
  while (next < 0 && proxy.deliver_one(*this, thread)) next = choose(thread.warp, &thread);
  if (next < 0) report_deadlock(thread);
  return prepare(next);
}

// Gives the turn to another thread; returns when this one may go on.
void Block::run_others(Fiber& thread, Wait reason) {
  Fiber* fiber = choose_other(thread, reason);
  if (fiber != &thread) switch_to(&thread.stack_pointer, fiber);
}

// Resumes after some thread of a warp, or of any.
void Block::yield(Fiber& thread, int to_warp) {
  const int next = choose(to_warp, &thread);
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
  // Mostly the warp's next lane can begin.
  const Warp& warp = warps[fiber.warp];
  if (warp.ready == 0 && warp.unstarted != 0) return assign(fiber, fiber.warp * kWarp + choose_lane(warp.unstarted, fiber.lane));
  int next = choose(fiber.warp, &fiber);
  if (alive_ > 0) {
    while (next < 0 && proxy.deliver_one(*this, fiber)) next = choose(fiber.warp, &fiber);
    if (next < 0) report_deadlock(fiber);
    if (!(warps[next / kWarp].ready >> next % kWarp & 1)) return assign(fiber, next);
  }
  free_fibers_.push_back(&fiber);
  if (alive_ == 0) leave(fiber);
  else switch_to(&fiber.stack_pointer, prepare(next));
}

}  // namespace limo::cuda::emulator
