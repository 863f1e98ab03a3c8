#include "cuda/emulator/warp_words.h"

#include <cstring>

#include "cuda/emulator/block.h"

// Collectives of the threads of a warp or a block: shuffles, barriers, ldmatrix and mma.
namespace limo::cuda::emulator {
namespace {

typedef float Vector __attribute__((vector_size(32)));

template <class Arguments>
const Arguments& arguments_of(const Warp& warp, int lane) {
  return *static_cast<const Arguments*>(warp.lanes[lane]->arguments);
}

// Lanes 8m … 8m + 7 name the rows of matrix m; lane l gets the elements 2(l % 4) and 2(l % 4) + 1 of its row l / 4, or, transposed,
// of its column.
void load(Block& block, const Warp& warp, bool transposed) {
  for (int m = 0; m < 4; ++m) {
    uint16_t rows[8][8];
    for (int i = 0; i < 8; ++i) {
      const Fiber& lane = *warp.lanes[m * 8 + i];
      const uint32_t address = arguments_of<MatrixLoad>(warp, m * 8 + i).address;
      std::memcpy(rows[i], block.shared_bytes(lane, "ldmatrix", address, 16, 16), 16);
    }
    for (int lane = 0; lane < kWarp; ++lane) {
      const int i = lane / 4, j = lane % 4 * 2;
      const uint16_t low = transposed ? rows[j][i] : rows[i][j], high = transposed ? rows[j + 1][i] : rows[i][j + 1];
      arguments_of<MatrixLoad>(warp, lane).to[m] = low | static_cast<uint32_t>(high) << 16;
    }
  }
}

}  // namespace

// d[16][8] += a[16][16] · b[16][8]. Operands are pairs of neighbours in k.
void multiply_add_fragments(Block&, Fiber&, Warp& warp) {
  alignas(32) uint32_t b[8][8];
  uint32_t a[16][8];
  alignas(32) float d[16][8];
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& fragment = arguments_of<MultiplyAdd>(warp, lane);
    const int row = lane / 4, pair = lane % 4;
    a[row][pair] = fragment.a[0];
    a[row + 8][pair] = fragment.a[1];
    a[row][pair + 4] = fragment.a[2];
    a[row + 8][pair + 4] = fragment.a[3];
    b[pair][row] = fragment.b[0];
    b[pair + 4][row] = fragment.b[1];
    std::memcpy(&d[row][2 * pair], fragment.d, 8);
    std::memcpy(&d[row + 8][2 * pair], fragment.d + 2, 8);
  }
  typedef uint32_t Pairs __attribute__((vector_size(32)));
  Vector low[8], high[8];
  for (int k = 0; k < 8; ++k) {
    Pairs pairs;
    std::memcpy(&pairs, b[k], sizeof pairs);
    low[k] = reinterpret_cast<Vector>(pairs << 16);
    high[k] = reinterpret_cast<Vector>(pairs & 0xffff0000);
  }
  for (int row = 0; row < 16; ++row) {
    Vector sum, odd = {};
    std::memcpy(&sum, d[row], sizeof sum);
    float a_low[8], a_high[8];
    for (int k = 0; k < 8; ++k) {
      const uint32_t even_bits = a[row][k] << 16, odd_bits = a[row][k] & 0xffff0000;
      std::memcpy(&a_low[k], &even_bits, 4);
      std::memcpy(&a_high[k], &odd_bits, 4);
    }
    for (int k = 0; k < 8; ++k) {
      sum += a_low[k] * low[k];
      odd += a_high[k] * high[k];
    }
    sum += odd;
    std::memcpy(d[row], &sum, sizeof sum);
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    float* to = arguments_of<MultiplyAdd>(warp, lane).d;
    const int row = lane / 4, pair = lane % 4;
    std::memcpy(to, &d[row][2 * pair], 8);
    std::memcpy(to + 2, &d[row + 8][2 * pair], 8);
  }
}

void load_matrices(Block& block, Fiber&, Warp& warp) { load(block, warp, false); }
void load_transposed_matrices(Block& block, Fiber&, Warp& warp) { load(block, warp, true); }

void shuffle_lanes(Block& block, Fiber&, Warp& warp) {
  for (int lane = 0; lane < kWarp; ++lane) {
    if (!(warp.mask >> lane & 1)) continue;
    const auto& [value, source, to] = arguments_of<Shuffle>(warp, lane);
    if (source < 0 || source >= kWarp || !(warp.mask >> source & 1)) {
      block.fail(*warp.lanes[lane], "shuffle: expected a lane of mask %08x to read from but received lane %d", warp.mask, source);
    }
    *to = arguments_of<Shuffle>(warp, source).value;
  }
}

void sync_lanes(Block&, Fiber&, Warp&) {}

void sync_block() { current_fiber->block->sync(*current_fiber, 0, 0); }

void sync_named_barrier(int id, int threads) {
  Fiber& thread = *current_fiber;
  if (id == 0) thread.block->fail(thread, "named barrier: expected a number from 1 to 15 but received 0, which is that of __syncthreads");
  thread.block->sync(thread, id, threads);
}

void arrive_at_named_barrier(int id, int threads) {
  Fiber& thread = *current_fiber;
  if (id == 0) thread.block->fail(thread, "named barrier: expected a number from 1 to 15 but received 0, which is that of __syncthreads");
  thread.block->arrive(thread, id, threads);
}

uint32_t address_in_shared(const void* pointer) { return current_fiber->block->shared_address(*current_fiber, pointer); }

}  // namespace limo::cuda::emulator
