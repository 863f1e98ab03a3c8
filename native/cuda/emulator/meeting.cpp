#include "cuda/emulator/block.h"

// Synchronisation of the threads of a block: warp collectives, barriers, mbarriers.
namespace limo::cuda::emulator {

Fiber* Block::meet(Fiber& lane, Collective collective, uint32_t mask, void* arguments) {
  Warp& warp = warps[lane.warp];
  const uint32_t bit = 1u << lane.lane;
  if (!(mask & bit))
    fail(lane, "%s: expected a lane of its own mask but received lane %d for mask %08x", name_of(collective), lane.lane, mask);
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

}  // namespace limo::cuda::emulator
