#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "cuda/emulator/block.h"
#include "cuda/emulator/fault_signal.h"

// Checks of a kernel's behaviour, and their messages.
namespace limo::cuda::emulator {
namespace {

std::string coordinates(dim3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

}  // namespace

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

std::string Block::place(const Fiber& fiber) const { return "block " + coordinates(index) + ", thread " + coordinates(fiber.index); }

// Checks at the end of a block: the message of a mistake, or empty.
std::string Block::find_at_end() const {
  const std::string where = ", block " + coordinates(index);
  if (const char* unfinished = proxy.unfinished()) return unfinished + where;
  if (launch_->shared_bytes == 0 || shared_now_->intact()) return "";
  return "a store just outside of the " + std::to_string(launch_->shared_bytes) + " bytes of shared memory" + where;
}

void Block::fail(const Fiber& by, const char* format, ...) {
  char message[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  error_ = std::string(message) + ", " + place(by);
  leave(*current_fiber);
  std::abort();  // nobody resumes a thread that has failed
}

void Block::report_deadlock(const Fiber& by) {
  std::string waits;
  const auto add = [&](int count, const Fiber& first, const std::string& what) {
    if (count > 0)
      waits += (waits.empty() ? "" : "; ") + std::to_string(count) + " wait at " + what + ", thread " + std::to_string(first.thread) +
               " the first";
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
      add(barriers_[b].arrived, *warps[w].lanes[std::countr_zero(barriers_[b].waiting[w])],
          name + " for " + std::to_string(barriers_[b].threads) + " threads");
      break;
    }
  }
  while (!mbarrier_waiters_.empty()) {
    const Fiber& first = *mbarrier_waiters_.front();
    const size_t count = std::erase_if(
        mbarrier_waiters_, [&](const Fiber* waiter) { return waiter->barrier == first.barrier && waiter->parity == first.parity; });
    add(static_cast<int>(count), first,
        "the mbarrier at offset " + std::to_string(first.barrier - kFirstSharedAddress) + " for parity " + std::to_string(first.parity));
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
