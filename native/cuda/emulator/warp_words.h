#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/emulator/block.h"

// Shuffles, ldmatrix, mma, barriers and cp.async, as cuda/emulator/device.h hands them to kernels.
namespace limo::cuda::emulator {

constexpr uint32_t kAllLanes = ~0u;

struct Shuffle {
  uint32_t value;
  int source_lane;
  uint32_t* to;
};

struct MatrixLoad {
  uint32_t address;
  uint32_t* to;
};

struct MultiplyAdd {
  float* d;
  const uint32_t* a;
  uint32_t b[2];
};

// Body of a warp collective, run once the arguments of all lanes are there.
void shuffle_lanes(Block& block, Fiber& last, Warp& warp);
void sync_lanes(Block& block, Fiber& last, Warp& warp);
void load_matrices(Block& block, Fiber& last, Warp& warp);
void load_transposed_matrices(Block& block, Fiber& last, Warp& warp);
void multiply_add_fragments(Block& block, Fiber& last, Warp& warp);

void sync_block();
void sync_named_barrier(int id, int threads);
void arrive_at_named_barrier(int id, int threads);

uint32_t address_in_shared(const void* pointer);
void issue_async_copy(uint32_t to, const void* from, bool valid);
void commit_async_copies();
void wait_for_async_copies(size_t groups);

}  // namespace limo::cuda::emulator
