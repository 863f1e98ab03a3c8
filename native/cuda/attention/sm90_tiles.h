#pragma once

#include "core/tensor.h"
#include "cuda/attention/blocks.h"
#include "cuda/hopper.h"

// Parts shared by the attention kernels for sm_90a: tiles in shared memory, their products, the ring buffer between producer and consumer
// warps, and stores. A warpgroup (4 warps) owns 64 rows of a tile; in its accumulators, value
// 4j + 2r + e of a lane is row 16·warp + lane/4 + 8r and column 8j + 2·(lane mod 4) + e.
//
// Kernel bodies exist for sm_90a only; other targets compile them empty.
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LIMO_SM90A 1
#else
#define LIMO_SM90A 0
#endif

namespace limo::cuda::sm90 {

constexpr int kWarpgroup = 128;       // threads
constexpr int kWarpgroupRows = 64;    // the rows of one wgmma
constexpr int kPanelColumns = 64;     // 128 bytes: the width that the swizzle allows a TMA box
constexpr float kLog2E = 1.44269504088896340736f;

// Named barriers: 0 is that of __syncthreads(), and each of the others here the first of one for every warpgroup that computes.
constexpr int kTurnBarriers = 1, kZeroBarriers = 4;

// kRows × kColumns bf16 in shared memory, as panels of 64 columns one after the other; a panel has rows of 128 bytes, swizzled,
// and starts at a multiple of 1,024. Its columns beyond the head dim and rows beyond the tokens are zeros, written by TMA.
template <int kRows_, int kColumns_>
struct Tile {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kPanelBytes = kRows * 128, kPanels = kColumns / kPanelColumns;
  static constexpr int kBytes = kPanels * kPanelBytes;
  static constexpr int kBox[3] = {kPanelColumns, 1, kRows};

  // Starts the load of rows `row` … of a [D, heads, T] tensor.
  static LIMO_DEVICE void load(uint32_t tile, const TensorMap* map, uint32_t barrier, int head, int row) {
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel)
      tma_load_3d(tile + panel * kPanelBytes, map, barrier, panel * kPanelColumns, head, row);
  }

  // The operand whose sums run along the tile's rows: A of A·Bᵀ from row `first_row` (a multiple of 8), or B.
  static LIMO_DEVICE uint64_t along_columns(uint32_t tile, int first_row = 0) {
    return wgmma_descriptor(tile + first_row * 128, 16, 1024);
  }
  // From one step of 16 columns to another; addresses in a descriptor count units of 16 bytes.
  static LIMO_DEVICE int column_step(int k) { return (k / 4 * kPanelBytes + k % 4 * 32) / 16; }

  // The B of P·B, whose sums run along the tile's columns.
  static LIMO_DEVICE uint64_t along_rows(uint32_t tile) { return wgmma_descriptor(tile, kPanelBytes, 1024); }
  static LIMO_DEVICE int row_step(int k) { return k * 16 * 128 / 16; }

  // Zeros in the rows from `first` on, written by one warpgroup. Such rows belong to the next sequence, and whatever they hold
  // (0 · infinity is not 0) must not reach a sum over rows. Each warpgroup zeros for itself: it then reads nothing else,
  // wherever the others are.
  static LIMO_DEVICE void zero_rows(unsigned char* tile, int first, int consumer) {
    const int thread = threadIdx.x % kWarpgroup;
#pragma unroll 1
    for (int panel = 0; panel < kPanels; ++panel)
#pragma unroll 1
      for (int offset = first * 128 + thread * 16; offset < kPanelBytes; offset += kWarpgroup * 16)
        *reinterpret_cast<uint4*>(tile + panel * kPanelBytes + offset) = make_uint4(0, 0, 0, 0);
    fence_proxy_async();
    named_barrier_sync(kZeroBarriers + consumer, kWarpgroup);
  }
};

// d = A·Bᵀ, both from shared memory. N, the rows of B, is that of d.
template <class A, class B, int R>
LIMO_DEVICE void multiply_shared(float (&d)[R], uint64_t a, uint64_t b) {
  static_assert(A::kColumns == B::kColumns && B::kRows == 2 * R);
#pragma unroll
  for (int k = 0; k < A::kColumns / 16; ++k)
    wgmma_ss<0, 0>(d, a + A::column_step(k), b + B::column_step(k), k != 0);
}

// d += P·B, P from registers.
template <class B, int R, int K>
LIMO_DEVICE void multiply_add_registers(float (&d)[R], const uint32_t (&p)[K][4], uint64_t b) {
  static_assert(B::kRows == 16 * K && B::kColumns == 2 * R);
#pragma unroll
  for (int k = 0; k < K; ++k) wgmma_rs<1>(d, p[k], b + B::row_step(k), 1);
}

// Accumulators, rounded, as the A operand of the next product: the layouts of the two agree.
template <int R>
LIMO_DEVICE void pack_operand(uint32_t (&p)[R / 8][4], const float (&s)[R]) {
#pragma unroll
  for (int k = 0; k < R / 8; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) p[k][i] = pack_bf16(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
}

template <int R>
LIMO_DEVICE void clear(float (&d)[R]) {
#pragma unroll
  for (int i = 0; i < R; ++i) d[i] = 0;
}

// Position in the ring buffer: the next stage, and the parity of the phase that its barriers complete next.
template <int kStages>
struct Ring {
  int stage = 0;
  int parity = 0;
  LIMO_DEVICE void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// Number of this warpgroup, by a shuffle, so that the compiler knows it to be uniform over the warp.
LIMO_DEVICE int warpgroup_index() { return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / kWarpgroup), 0); }

// The row of a warpgroup's 64 that r = 0 of this lane stands for; r = 1 is 8 further.
LIMO_DEVICE int accumulator_row() { return static_cast<int>(threadIdx.x % kWarpgroup / 32 * 16 + threadIdx.x % 32 / 4); }

// The column that value 0 stands for.
LIMO_DEVICE int accumulator_column() { return 2 * static_cast<int>(threadIdx.x % 4); }

// Transposes a quad's 4 × 4 words: words[j] of lane t goes to words[t] of lane j.
LIMO_DEVICE void transpose_quad(uint32_t (&words)[4]) {
  const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
#pragma unroll
  for (int j = 0; j < 4; j += 2) {
    const uint32_t received = __shfl_xor_sync(0xffffffffu, odd ? words[j] : words[j + 1], 1);
    if (odd) words[j] = received;
    else words[j + 1] = received;
  }
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const uint32_t received = __shfl_xor_sync(0xffffffffu, upper ? words[j] : words[j + 2], 2);
    if (upper) words[j] = received;
    else words[j + 2] = received;
  }
}

// Rows of a projection that a kernel writes: [T, heads · head_dim], 16 bytes at a time.
struct OutputRows {
  Bf16* data;
  int64_t stride;  // elements
  int head_dim;
};

// The 64 rows that a warpgroup computes: of a head, from row `first` of a block's sequence on.
struct WarpgroupRows {
  Block block;
  int head, first;

  LIMO_DEVICE int row(int r) const { return first + accumulator_row() + 8 * r; }
  LIMO_DEVICE bool valid(int r) const { return row(r) < block.length; }
  LIMO_DEVICE int64_t token(int r) const { return block.first_row + row(r); }
};

// Accumulators as bf16, row r of a lane times factor[r]; rows beyond the sequence are not stored. The lanes of a quad exchange what
// they hold, so that each stores 16 bytes and a quad 64 in a row.
template <int R>
LIMO_DEVICE void store_rows(const OutputRows& to, const WarpgroupRows& rows, const float (&d)[R], const float (&factor)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    Bf16* start = to.data + rows.token(r) * to.stride + rows.head * to.head_dim;
#pragma unroll
    for (int j = 0; j < R / 4; j += 4) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = d + 4 * (j + i) + 2 * r;
        words[i] = pack_bf16(pair[0] * factor[r], pair[1] * factor[r]);
      }
      transpose_quad(words);
      const int column = 8 * (j + static_cast<int>(threadIdx.x % 4));
      if (rows.valid(r) && column < to.head_dim)
        *reinterpret_cast<uint4*>(start + column) = make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
}

}  // namespace limo::cuda::sm90
