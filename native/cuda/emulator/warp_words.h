#pragma once

#include <cstddef>
#include <cstdint>

namespace limo::cuda::emulator {

// to = the value of lane `source` (for every lane of the mask its own)
void shuffle(uint32_t mask, uint32_t value, int source_lane, uint32_t& to);
void sync_warp(uint32_t mask);
void sync_block();

uint32_t address_in_shared(const void* pointer);
void issue_async_copy(uint32_t to, const void* from, bool valid);
void commit_async_copies();
void wait_for_async_copies(size_t groups);
void load_matrix(uint32_t (&r)[4], uint32_t address, bool transposed);
void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
void sync_named_barrier(int id, int threads);
void arrive_at_named_barrier(int id, int threads);

}  // namespace limo::cuda::emulator
