#pragma once

#include <cstdint>

#include "cuda/emulator/block.h"

namespace limo::cuda::emulator {

constexpr uint32_t kSwizzleBytes = 1024;  // the pattern repeats after 8 rows of 128 bytes

// The 128-byte swizzle of TMA and wgmma: of the eight 16-byte chunks in a row of 128 bytes, which one it is, is exclusive-or'd
// with the number of the row.
inline uint32_t swizzled(uint32_t address) { return address ^ ((address >> 7 & 7) << 4); }

// Fails on a device that is older than sm_90.
inline void require_hopper(Block& block, const Fiber& by, const char* operation) {
  if (capability() < 90) block.fail(by, "%s: expected a device of compute capability 9.0 but received one of 8.0", operation);
}

}  // namespace limo::cuda::emulator
