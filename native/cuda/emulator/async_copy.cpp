#include <cstring>

#include "cuda/emulator/block.h"
#include "cuda/emulator/warp_words.h"

// cp.async: what is copied is read and written when the thread waits for it, and until then the destination is poison.
namespace limo::cuda::emulator {
namespace {

constexpr size_t kBytes = 16;

}  // namespace

void issue_async_copy(uint32_t to, const void* from, bool valid) {
  Fiber& thread = *current_fiber;
  Block& block = *thread.block;
  unsigned char* destination = block.shared_bytes(thread, "cp_async_16", to, kBytes, kBytes);
  if (reinterpret_cast<uintptr_t>(from) % kBytes != 0) {
    block.fail(thread, "cp_async_16: expected an address in global memory that is a multiple of 16 but received %p", from);
  }
  std::memset(destination, kPoison, kBytes);
  thread.copies.push_back({destination, valid ? from : nullptr});
  ++thread.uncommitted_copies;
}

void commit_async_copies() {
  Fiber& thread = *current_fiber;
  thread.copy_groups.push_back(thread.uncommitted_copies);
  thread.uncommitted_copies = 0;
}

void wait_for_async_copies(size_t groups) {
  Fiber& thread = *current_fiber;
  if (thread.copy_groups.size() <= groups) return;
  const size_t groups_done = thread.copy_groups.size() - groups;
  size_t done = 0;
  for (size_t group = 0; group < groups_done; ++group) {
    for (const size_t end = done + thread.copy_groups[group]; done < end; ++done) {
      const AsyncCopy& copy = thread.copies[done];
      if (copy.from) std::memcpy(copy.to, copy.from, kBytes);
      else std::memset(copy.to, 0, kBytes);
    }
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + static_cast<ptrdiff_t>(done));
  thread.copy_groups.erase(thread.copy_groups.begin(), thread.copy_groups.begin() + static_cast<ptrdiff_t>(groups_done));
}

}  // namespace limo::cuda::emulator
