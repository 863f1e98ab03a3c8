#pragma once

#include <cstddef>
#include <cstdint>

// A CUDA device as the addon knows it: plain data that crosses the border (cuda/api.h).
namespace limo {

struct CudaDescription {
  char name[256] = "";
  int capability = 0;       // 80, 90, …
  uint64_t bytes = 0;       // device memory
  uint64_t free_bytes = 0;  // when it was opened
  int multiprocessors = 0;
  char code[64] = "";      // what it runs: machine code that was built, or PTX
  char products[512] = "";  // library for matrix products, with version and path
};

// Working memory of a device besides the arenas: of matrix products, partial sums and lists of indices.
// lib/native/device.ts has the same number, so that a plan is exact on a machine without the addon.
constexpr size_t kCudaScratchBytes = 80 << 20;
// The part of it for lists of indices.
constexpr size_t kCudaListBytes = 16 << 20;

}  // namespace limo
