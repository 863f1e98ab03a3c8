#include <cstring>

#include "cuda/emulator/block.h"

namespace limo::cuda::emulator {
namespace {

// The 8 bytes of an mbarrier in shared memory. Poison is one that nobody has initialised.
struct Mbarrier {
  uint16_t arrivals;  // expected in a phase
  uint16_t pending;   // still to come in this phase
  int32_t bytes : 31;
  uint32_t phase : 1;
};
static_assert(sizeof(Mbarrier) == 8);

constexpr int kMostArrivals = 0xfffe;

Mbarrier& mbarrier_at(Block& block, const Fiber& by, uint32_t address) {
  auto* barrier = reinterpret_cast<Mbarrier*>(block.shared_bytes(by, "mbarrier", address, sizeof(Mbarrier), 8));
  if (barrier->arrivals == 0 || barrier->arrivals > kMostArrivals) {
    block.fail(by, "mbarrier: expected one that is initialised but received offset %u", address - kFirstSharedAddress);
  }
  return *barrier;
}

void end_phase_if_complete(Block& block, Fiber& by, Mbarrier& barrier, uint32_t address) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  const int parity = barrier.phase;
  barrier.phase = barrier.phase ^ 1u;
  barrier.pending = barrier.arrivals;
  block.wake_from_mbarrier(by, address, parity);
}

}  // namespace

void complete_bytes(Block& block, Fiber& during, uint32_t address, int bytes) {
  Mbarrier& barrier = mbarrier_at(block, during, address);
  barrier.bytes = barrier.bytes - bytes;
  end_phase_if_complete(block, during, barrier, address);
}

void initialize_mbarrier(uint32_t address, int arrivals) {
  Fiber& thread = *current_fiber;
  Block& block = *thread.block;
  unsigned char* place = block.shared_bytes(thread, "mbarrier_init", address, sizeof(Mbarrier), 8);
  if (arrivals < 1 || arrivals > kMostArrivals)
    block.fail(thread, "mbarrier_init: expected 1 to %d arrivals but received %d", kMostArrivals, arrivals);
  const Mbarrier barrier = {static_cast<uint16_t>(arrivals), static_cast<uint16_t>(arrivals), 0, 0};
  std::memcpy(place, &barrier, sizeof barrier);
}

void arrive_at_mbarrier(uint32_t address, int expected_bytes) {
  Fiber& thread = *current_fiber;
  Block& block = *thread.block;
  block.proxy.maybe_deliver(block, thread);
  Mbarrier& barrier = mbarrier_at(block, thread, address);
  if (barrier.pending == 0) {
    block.fail(thread, "mbarrier at offset %u: expected %d arrivals in a phase but received one more, while %d bytes are missing",
               address - kFirstSharedAddress, barrier.arrivals, static_cast<int>(barrier.bytes));
  }
  barrier.bytes = barrier.bytes + expected_bytes;
  --barrier.pending;
  const uint32_t phase = barrier.phase;
  end_phase_if_complete(block, thread, barrier, address);
  if (barrier.phase == phase) block.maybe_yield(thread);
}

void wait_for_mbarrier(uint32_t address, int parity) {
  Fiber& thread = *current_fiber;
  Block& block = *thread.block;
  if (parity != 0 && parity != 1) block.fail(thread, "mbarrier_wait: expected a parity of 0 or 1 but received %d", parity);
  block.proxy.maybe_deliver(block, thread);
  if (mbarrier_at(block, thread, address).phase == static_cast<uint32_t>(parity)) block.wait_at_mbarrier(thread, address, parity);
}

}  // namespace limo::cuda::emulator
