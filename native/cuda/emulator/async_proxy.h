#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/emulator/tensor_map.h"

namespace limo::cuda::emulator {

class Block;
struct Fiber;

constexpr int kMostColumns = 256;  // N of a wgmma

// A TMA load in flight.
struct TmaLoad {
  uint32_t to, barrier;
  TensorMap map;
  int at[3];
};

// The registers of a warp's part of a wgmma's sum, [16][columns], while products into it are in flight. The kernel's own
// variables hold NaN until it has waited for the last of them.
struct Accumulator {
  std::array<float*, 32> registers;
  int columns = 0;
  int in_flight = 0;
  alignas(32) float values[16][kMostColumns];
};

struct WgmmaProduct {
  bool a_in_registers = false, transpose_a = false, transpose_b = false, accumulate = false;
  int columns = 0;
  uint64_t a_descriptor = 0, b_descriptor = 0;
  std::array<const uint32_t*, 32> a_registers = {};
  std::array<std::array<uint32_t, 4>, 32> a_at_issue;
  Accumulator* accumulator = nullptr;
};

// Products of a warp in flight, oldest first.
struct WgmmaQueue {
  bool fenced = false;
  std::vector<WgmmaProduct> products;
  std::vector<size_t> groups;  // sizes of the committed ones
  size_t uncommitted = 0;
  std::vector<std::unique_ptr<Accumulator>> accumulators;  // those with in_flight = 0 are free
};

// The units of a block that work on their own: TMA and the matrix units. They read as late and write as late as they may.
class AsyncProxy {
 public:
  void start(Block& block, int warps);
  // The kind of work that a block left in flight at its end, or nullptr.
  const char* unfinished() const;
  // Delivers one of the tiles in flight; false if there is none.
  bool deliver_one(Block& block, Fiber& during);
  // In most blocks tiles arrive only when no thread can go on without them; in some, at random times.
  void maybe_deliver(Block& block, Fiber& during);

  // Shared memory as the asynchronous proxy sees it: tiles written by TMA, and threads' stores before a fence_proxy_async. One thread's
  // fence counts for all threads: a fence that all threads lack is found, one that some lack is not.
  const unsigned char* view(uint32_t address) const;
  void publish_stores();
  void write(uint32_t address, const void* bytes, size_t count);

  std::vector<TmaLoad> loads;
  std::vector<WgmmaQueue> queues;  // by warp
  bool fenced_stores = false;      // since they were published last

 private:
  Block* block_ = nullptr;
  bool is_early_ = false;
  std::vector<unsigned char> view_;  // empty until a block of a kernel uses these units
};

// Bytes of a tile have arrived for an mbarrier.
void complete_bytes(Block& block, Fiber& during, uint32_t address, int bytes);

// ---- what the words of hopper.h come down to ----

void initialize_mbarrier(uint32_t address, int arrivals);
void arrive_at_mbarrier(uint32_t address, int expected_bytes);
void wait_for_mbarrier(uint32_t address, int parity);
void issue_tma_load(uint32_t to, const TensorMap& map, uint32_t barrier, int x, int y, int z);
void fence_async_proxy();
void fence_wgmma();
void issue_wgmma(const WgmmaProduct& product, float* d, const uint32_t* a);
void commit_wgmma();
void wait_for_wgmma(size_t groups);

}  // namespace limo::cuda::emulator
