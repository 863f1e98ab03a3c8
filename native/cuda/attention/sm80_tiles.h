#pragma once

#include "core/tensor.h"
#include "cuda/device.h"

// Tiles of 64 or 128 channels in shared memory, and the products of tiles that the kernels of attention are made of. A block has
// four warps; fragments are those of mma.m16n8k16: lane l holds rows l / 4 and l / 4 + 8, columns 2 (l % 4) and the next one.
namespace limo::cuda::sm80 {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kChunk = 8;            // elements that are copied together, 16 bytes
constexpr uint32_t kStepBytes = 32;  // 16 channels, the depth of an mma
constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.693147181f;

LIMO_DEVICE int lane_index() { return static_cast<int>(threadIdx.x % 32); }
LIMO_DEVICE int warp_index() { return static_cast<int>(threadIdx.x / 32); }

// Rows of one head of one sequence, in global memory.
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
  int rows, channels;
  bool aligned;  // every chunk begins at a multiple of 16 bytes
};

struct SharedTile {
  unsigned char* data;
  uint32_t address;

  LIMO_DEVICE SharedTile at(int bytes) const { return {data + bytes, address + static_cast<uint32_t>(bytes)}; }
};

template <int D, int Rows>
constexpr int kTileBytes = Rows * D * 2;

// Swizzle: position of a chunk of a row. The exclusive or spreads the same chunk of eight consecutive rows over all banks.
template <int D>
LIMO_DEVICE uint32_t chunk_offset(int row, int chunk) {
  return static_cast<uint32_t>(row * D * 2 + ((chunk ^ (row & 7)) << 4));
}

// A chunk from addresses that are multiples of 2 bytes only; zeros from `count` on.
LIMO_DEVICE uint4 read_chunk(const Bf16* from, int count) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t low = 2 * i < count ? from[2 * i].bits : 0, high = 2 * i + 1 < count ? from[2 * i + 1].bits : 0;
    words[i] = low | high << 16;
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// Starts an asynchronous copy of rows first_row … first_row + Rows − 1, zeros where there is no row or no channel. The caller commits and
// waits.
template <int D, int Rows>
LIMO_DEVICE void load_tile(const SharedTile& to, const HeadRows<const Bf16>& from, int first_row) {
  // A thread's chunks are below one another, a multiple of eight rows apart.
  constexpr int kChunks = D / kChunk, kStep = kThreads / kChunks;
  const int row = static_cast<int>(threadIdx.x) / kChunks, chunk = static_cast<int>(threadIdx.x) % kChunks;
  const int channels = from.channels - chunk * kChunk, rows = channels > 0 ? from.rows - first_row - row : 0;
  const uint32_t offset = chunk_offset<D>(row, chunk);
  const Bf16* source = from.data + (first_row + row) * from.stride + chunk * kChunk;
#pragma unroll
  for (int i = 0; i < Rows / kStep; ++i) {
    const bool valid = i * kStep < rows;
    if (from.aligned) cp_async_16(to.address + offset + i * kTileBytes<D, kStep>, source, valid);
    else *reinterpret_cast<uint4*>(to.data + offset + i * kTileBytes<D, kStep>) = read_chunk(source, valid ? channels : 0);
    source += kStep * from.stride;
  }
}

// Accumulators of a warp: M times 16 rows of 8 N columns.
template <int M, int N>
struct Sums {
  float values[M][N][4];

  LIMO_DEVICE void clear() {
#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
      for (int i = 0; i < N; ++i) {
#pragma unroll
        for (int e = 0; e < 4; ++e) values[m][i][e] = 0.0f;
      }
    }
  }
};

// sums[16 M][8 N] += A[16 M][D] · tile[8 N][D]ᵀ, A being rows `row` … of another tile.
template <int D, int M, int N>
LIMO_DEVICE void multiply_transposed(Sums<M, N>& sums, uint32_t a_tile, int row, uint32_t b_tile) {
  // A step of 16 channels is two chunks: under the swizzle, another exclusive or.
  const int lane = lane_index();
  const uint32_t a_address = a_tile + chunk_offset<D>(row + lane % 16, lane / 16);
  const uint32_t b_address = b_tile + chunk_offset<D>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    uint32_t a[M][4];
#pragma unroll
    for (int m = 0; m < M; ++m) ldmatrix_x4(a[m], (a_address ^ step * kStepBytes) + m * kTileBytes<D, 16>);
#pragma unroll
    for (int pair = 0; pair < N / 2; ++pair) {
      uint32_t b[4];
      ldmatrix_x4(b, (b_address ^ step * kStepBytes) + pair * kTileBytes<D, 16>);
#pragma unroll
      for (int m = 0; m < M; ++m) {
        mma_m16n8k16(sums.values[m][2 * pair], a[m], b[0], b[1]);
        mma_m16n8k16(sums.values[m][2 * pair + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// sums[16 M][D] += factors[16 M][8 N] · tile[8 N][D]. The accumulators of one product have the layout of the next one's A fragments; they
// are rounded to bfloat16 here.
template <int D, int M, int N>
LIMO_DEVICE void multiply(Sums<M, D / 8>& sums, const Sums<M, N>& factors, uint32_t tile) {
  const int lane = lane_index();
  const uint32_t address = tile + chunk_offset<D>(lane % 16, lane / 16);
#pragma unroll
  for (int step = 0; step < N / 2; ++step) {
    uint32_t a[M][4];
#pragma unroll
    for (int m = 0; m < M; ++m) {
      const float (&left)[4] = factors.values[m][2 * step], (&right)[4] = factors.values[m][2 * step + 1];
      a[m][0] = pack_bf16(left[0], left[1]);
      a[m][1] = pack_bf16(left[2], left[3]);
      a[m][2] = pack_bf16(right[0], right[1]);
      a[m][3] = pack_bf16(right[2], right[3]);
    }
#pragma unroll
    for (int pair = 0; pair < D / 16; ++pair) {
      uint32_t b[4];
      ldmatrix_x4_trans(b, (address ^ pair * kStepBytes) + step * kTileBytes<D, 16>);
#pragma unroll
      for (int m = 0; m < M; ++m) {
        mma_m16n8k16(sums.values[m][2 * pair], a[m], b[0], b[1]);
        mma_m16n8k16(sums.values[m][2 * pair + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// Writes a warp's 16 rows, factor[i] times the sums of rows 8 i …, to rows first_row … . Staged through rows `row` … of a tile that no
// other warp uses any more, so that global stores have 16 bytes a lane.
template <int D>
LIMO_DEVICE void store_rows(const HeadRows<Bf16>& to, int first_row, const float (&sums)[D / 8][4], const float (&factor)[2],
                            const SharedTile& tile, int row) {
  constexpr int kChunks = D / kChunk;
  const int lane = lane_index();
#pragma unroll
  for (int chunk = 0; chunk < kChunks; ++chunk) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t offset = chunk_offset<D>(row + lane / 4 + 8 * half, chunk) + lane % 4 * 4;
      *reinterpret_cast<uint32_t*>(tile.data + offset) =
          pack_bf16(sums[chunk][2 * half] * factor[half], sums[chunk][2 * half + 1] * factor[half]);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < 16 * kChunks / 32; ++i) {
    const int number = i * 32 + lane, local = number / kChunks, chunk = number % kChunks;
    const int left = to.channels - chunk * kChunk;
    if (first_row + local >= to.rows || left <= 0) continue;
    const unsigned char* source = tile.data + chunk_offset<D>(row + local, chunk);
    Bf16* destination = to.data + (first_row + local) * to.stride + chunk * kChunk;
    if (to.aligned) {
      *reinterpret_cast<uint4*>(destination) = *reinterpret_cast<const uint4*>(source);
    } else {
      for (int c = 0; c < (left < kChunk ? left : kChunk); ++c) destination[c] = reinterpret_cast<const Bf16*>(source)[c];
    }
  }
}

}  // namespace limo::cuda::sm80
