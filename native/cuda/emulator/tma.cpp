#include <cstring>

#include "cuda/emulator/block.h"
#include "cuda/emulator/swizzle.h"

namespace limo::cuda::emulator {
namespace {

constexpr int kChunk = 16;  // bytes that stay together under the swizzle
constexpr int kElementsOfChunk = kChunk / 2;

int bytes_of_box(const TensorMap& map) { return map.box[0] * map.box[1] * map.box[2] * 2; }

bool is_inside(const TensorMap& map, const int64_t (&at)[3]) {
  for (int i = 0; i < 3; ++i) {
    if (at[i] < 0 || at[i] >= map.sizes[i]) return false;
  }
  return true;
}

void copy_chunk(unsigned char* to, const TensorMap& map, int64_t x, int64_t y, int64_t z) {
  for (int i = 0; i < kElementsOfChunk; ++i) {
    if (is_inside(map, {x + i, y, z})) {
      std::memcpy(to + 2 * i, map.base + (x + i) * map.strides[0] + y * map.strides[1] + z * map.strides[2], 2);
    } else {
      std::memset(to + 2 * i, 0, 2);
    }
  }
}

void deliver(Block& block, const TmaLoad& load) {
  const auto& [width, height, depth] = load.map.box;
  uint32_t offset = 0;
  for (int z = 0; z < depth; ++z) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; x += kElementsOfChunk, offset += kChunk) {
        copy_chunk(block.shared + (swizzled(load.to + offset) - kFirstSharedAddress), load.map, load.at[0] + x, load.at[1] + y, load.at[2] + z);
      }
    }
  }
}

}  // namespace

void AsyncProxy::start(int warps) {
  loads.clear();
  if (queues.size() < static_cast<size_t>(warps)) queues.resize(warps);
  for (WgmmaQueue& queue : queues) {
    queue.fenced = false;
    if (queue.products.empty() && queue.groups.empty()) continue;
    queue.products.clear();
    queue.groups.clear();
    queue.uncommitted = 0;
    for (const auto& accumulator : queue.accumulators) accumulator->in_flight = 0;
  }
}

const char* AsyncProxy::unfinished() const {
  if (!loads.empty()) return "expected a block to wait for all its TMA loads but received its end before";
  for (const WgmmaQueue& queue : queues) {
    if (!queue.products.empty()) return "expected a block to wait for all its wgmma products but received its end before";
  }
  return nullptr;
}

bool AsyncProxy::deliver_one(Block& block, Fiber& during) {
  if (loads.empty()) return false;
  const size_t number = block.random(static_cast<uint32_t>(loads.size()));
  const TmaLoad load = loads[number];
  loads[number] = loads.back();
  loads.pop_back();
  deliver(block, load);
  complete_bytes(block, during, load.barrier, bytes_of_box(load.map));
  return true;
}

void issue_tma_load(uint32_t to, const TensorMap& map, uint32_t barrier, int x, int y, int z) {
  Fiber& thread = *current_fiber;
  Block& block = *thread.block;
  require_hopper(block, thread, "tma_load_3d");
  const int bytes = bytes_of_box(map);
  // Poison until the tile is there: whoever reads too early, or still needs what was there before, finds NaN.
  std::memset(block.shared_bytes(thread, "tma_load_3d", to, bytes, kSwizzleBytes), kPoison, bytes);
  block.shared_bytes(thread, "tma_load_3d's mbarrier", barrier, 8, 8);
  block.proxy.loads.push_back({to, barrier, map, {x, y, z}});
  if (block.random(8) == 0) block.proxy.deliver_one(block, thread);
}

}  // namespace limo::cuda::emulator
