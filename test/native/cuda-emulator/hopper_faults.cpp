#include "core/tensor.h"
#include "fault_case.h"

// Mistakes with what a processor of compute capability 9.0 does on its own: TMA, wgmma, and the barriers around them.
namespace limo::cuda {
namespace {

constexpr int kThreads = 128;  // a warpgroup
constexpr int kSize = 64;      // of the square matrices
constexpr int kTileBytes = kSize * 128;
constexpr size_t kSharedBytes = 3 * kTileBytes + 64;

enum class Mistake {
  kNone,
  kReadBeforeWait,
  kWriteBeforeWait,
  kRegistersReused,
  kOperandOverwritten,
  kNoProxyFence,
  kNoWgmmaFence,
  kBadDescriptor,
  kNeverWaited,
};

// Where element (row, column) of a tile lies under the swizzle.
LIMO_DEVICE uint32_t tile_offset(int row, int column) {
  return static_cast<uint32_t>(row * 128 + ((column / 8 ^ row % 8) * 16) + column % 8 * 2);
}

LIMO_DEVICE void store_tile(unsigned char* tile, const Bf16* matrix) {
  for (int i = static_cast<int>(threadIdx.x); i < kSize * kSize; i += kThreads) {
    *reinterpret_cast<Bf16*>(tile + tile_offset(i / kSize, i % kSize)) = matrix[i];
  }
}

// out = a · bᵀ, a from registers where it may be that they are reused.
template <Mistake M>
__global__ void __launch_bounds__(kThreads) product_kernel(float* out, const Bf16* a, const Bf16* b) {
  LIMO_DYNAMIC_SHARED(shared);
  store_tile(shared, a);
  store_tile(shared + kTileBytes, b);
  if (M != Mistake::kNoProxyFence) fence_proxy_async();
  __syncthreads();
  const uint32_t a_tile = shared_address(shared), b_tile = a_tile + kTileBytes;
  const int lane = static_cast<int>(threadIdx.x % 32), row = static_cast<int>(threadIdx.x / 32 * 16) + lane / 4;
  float d[kSize / 2];
  uint32_t registers[4][4];
  for (int step = 0; step < 4; ++step) {
    for (int r = 0; r < 4; ++r) {
      const int column = step * 16 + r / 2 * 8 + lane % 4 * 2;
      registers[step][r] = *reinterpret_cast<const uint32_t*>(a + (row + r % 2 * 8) * kSize + column);
    }
  }
  if (M != Mistake::kNoWgmmaFence) wgmma_fence();
  for (int step = 0; step < 4; ++step) {
    const uint64_t b_descriptor = wgmma_descriptor(b_tile + 32 * step, 16, 1024);
    if (step % 2 == 0) wgmma_rs<0>(d, registers[step], b_descriptor, step != 0);
    else wgmma_ss<0, 0>(d, M == Mistake::kBadDescriptor ? 0 : wgmma_descriptor(a_tile + 32 * step, 16, 1024), b_descriptor, 1);
  }
  wgmma_commit();
  if (M == Mistake::kRegistersReused) registers[0][0] = 0;
  if (M == Mistake::kOperandOverwritten) store_tile(shared, b);
  if (M == Mistake::kWriteBeforeWait) d[0] = 0;
  if (M != Mistake::kReadBeforeWait && M != Mistake::kNeverWaited) wgmma_wait<0>();
  for (int r = 0; r < kSize / 2; ++r) out[(row + r / 2 % 2 * 8) * kSize + r / 4 * 8 + lane % 4 * 2 + r % 2] = d[r];
  if (M == Mistake::kReadBeforeWait) wgmma_wait<0>();
}

std::vector<Bf16> small_integers(int count, int seed) {
  std::vector<Bf16> values(count);
  for (int i = 0; i < count; ++i) values[i] = to_bf16(static_cast<float>((i * 37 + seed * 11 + i / 64) % 7 - 3));
  return values;
}

template <Mistake M>
bool multiplies(bool faulty) {
  const std::vector<Bf16> a = small_integers(kSize * kSize, 1), b = small_integers(kSize * kSize, 2);
  float* out = to_device(std::vector<float>(kSize * kSize));
  launch(faulty ? product_kernel<M> : product_kernel<Mistake::kNone>, 1, kThreads, kSharedBytes, nullptr, out, to_device(a), to_device(b));
  const std::vector<float> values = from_device(out, kSize * kSize);
  for (int i = 0; i < kSize * kSize; ++i) {
    float sum = 0;
    for (int k = 0; k < kSize; ++k) sum += to_float(a[i / kSize * kSize + k]) * to_float(b[i % kSize * kSize + k]);
    if (values[i] != sum) return false;
  }
  return true;
}

enum class PipelineMistake {
  kNone,
  kEarlyRelease,
  kWrongParity,
  kTooManyArrivals,
  kTooFewArrivals,
  kWrongBytes,
  kLeftInFlight,
  kUninitialised
};

constexpr int kStages = 2, kTiles = 7;
constexpr int kBlocks = 16;  // do the same: each has a schedule of its own

// Sums tiles that one thread loads through two stages: out[row][column] = Σ tiles.
template <PipelineMistake M>
__global__ void __launch_bounds__(2 * kThreads) pipeline_kernel(LIMO_GRID_CONSTANT TensorMap map, float* out) {
  LIMO_DYNAMIC_SHARED(shared);
  const uint32_t tiles = shared_address(shared), full = tiles + 3 * kTileBytes, empty = full + 8 * kStages, unwaited = empty + 8 * kStages;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      if (M != PipelineMistake::kUninitialised) mbarrier_init(full + 8 * stage, 1);
      mbarrier_init(empty + 8 * stage, M == PipelineMistake::kTooFewArrivals ? kThreads + 1 : kThreads);
    }
    mbarrier_init(unwaited, 1);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x >= kThreads) {
    if (threadIdx.x > kThreads) return;
    for (int tile = 0; tile < kTiles; ++tile) {
      const int stage = tile % kStages;
      mbarrier_wait(empty + 8 * stage, (tile / kStages % 2) ^ 1);
      mbarrier_arrive_expect_tx(full + 8 * stage, M == PipelineMistake::kWrongBytes ? kTileBytes + 16 : kTileBytes);
      tma_load_3d(tiles + stage * kTileBytes, &map, full + 8 * stage, 0, 0, tile);
      if (M == PipelineMistake::kTooManyArrivals) mbarrier_arrive(full + 8 * stage);
    }
    if (M == PipelineMistake::kLeftInFlight) tma_load_3d(tiles + kStages * kTileBytes, &map, unwaited, 0, 0, 0);
    return;
  }
  float sums[kSize * kSize / kThreads] = {};
  for (int tile = 0; tile < kTiles; ++tile) {
    const int stage = tile % kStages;
    mbarrier_wait(full + 8 * stage, (tile / kStages % 2) ^ (M == PipelineMistake::kWrongParity ? 1 : 0));
    if (M == PipelineMistake::kEarlyRelease) mbarrier_arrive(empty + 8 * stage);
    for (int i = 0; i < kSize * kSize / kThreads; ++i) {
      const int element = i * kThreads + static_cast<int>(threadIdx.x);
      sums[i] += to_float(*reinterpret_cast<const Bf16*>(shared + stage * kTileBytes + tile_offset(element / kSize, element % kSize)));
    }
    if (M != PipelineMistake::kEarlyRelease) mbarrier_arrive(empty + 8 * stage);
  }
  for (int i = 0; i < kSize * kSize / kThreads; ++i) out[i * kThreads + threadIdx.x] = sums[i];
}

template <PipelineMistake M>
bool sums_tiles(bool faulty) {
  // One row and column less than the tiles have: what lies outside counts as 0.
  constexpr int kInside = kSize - 1;
  const std::vector<Bf16> in = small_integers(kTiles * kSize * kSize, 3);
  float* out = to_device(std::vector<float>(kSize * kSize));
  const TensorMap map = make_tensor_map_3d(to_device(in), {kInside, kInside, kTiles}, {2 * kSize, 2 * kSize * kSize}, {kSize, kSize, 1});
  launch(faulty ? pipeline_kernel<M> : pipeline_kernel<PipelineMistake::kNone>, kBlocks, 2 * kThreads, kSharedBytes, nullptr, map, out);
  const std::vector<float> values = from_device(out, kSize * kSize);
  for (int i = 0; i < kSize * kSize; ++i) {
    float sum = 0;
    const bool inside = i / kSize < kInside && i % kSize < kInside;
    for (int tile = 0; inside && tile < kTiles; ++tile) sum += to_float(in[tile * kSize * kSize + i]);
    if (values[i] != sum) return false;
  }
  return true;
}

constexpr FaultCase kCases[] = {
    {"accumulator-read-before-wait", nullptr, multiplies<Mistake::kReadBeforeWait>},
    {"accumulator-written-before-wait", "accumulator", multiplies<Mistake::kWriteBeforeWait>},
    {"a-registers-reused-before-wait", "expected A's registers to live", multiplies<Mistake::kRegistersReused>},
    {"operand-overwritten-before-wait", "is as it was", multiplies<Mistake::kOperandOverwritten>},
    {"missing-proxy-fence", "before a fence_proxy_async", multiplies<Mistake::kNoProxyFence>},
    {"missing-wgmma-fence", "expected a wgmma_fence", multiplies<Mistake::kNoWgmmaFence>},
    {"bad-wgmma-descriptor", "expected a descriptor", multiplies<Mistake::kBadDescriptor>},
    {"missing-wgmma-wait", "wait for all its wgmma products", multiplies<Mistake::kNeverWaited>},
    {"stage-released-early", nullptr, sums_tiles<PipelineMistake::kEarlyRelease>},
    {"wrong-mbarrier-parity", "mbarrier at offset", sums_tiles<PipelineMistake::kWrongParity>},
    {"too-many-mbarrier-arrivals", "received one more", sums_tiles<PipelineMistake::kTooManyArrivals>},
    {"too-few-mbarrier-arrivals", "deadlock", sums_tiles<PipelineMistake::kTooFewArrivals>},
    {"wrong-mbarrier-bytes", "deadlock", sums_tiles<PipelineMistake::kWrongBytes>},
    {"tma-load-left-in-flight", "wait for all its TMA loads", sums_tiles<PipelineMistake::kLeftInFlight>},
    {"uninitialised-mbarrier", "expected one that is initialised", sums_tiles<PipelineMistake::kUninitialised>},
};

}  // namespace

std::span<const FaultCase> hopper_faults() { return kCases; }

}  // namespace limo::cuda
