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

void read_chunk(uint16_t (&chunk)[kElementsOfChunk], const TensorMap& map, int64_t x, int64_t y, int64_t z) {
  for (int i = 0; i < kElementsOfChunk; ++i) {
    chunk[i] = 0;
    if (is_inside(map, {x + i, y, z})) {
      std::memcpy(&chunk[i], map.base + (x + i) * map.strides[0] + y * map.strides[1] + z * map.strides[2], 2);
    }
  }
}

void deliver(Block& block, const TmaLoad& load) {
  const auto& [width, height, depth] = load.map.box;
  uint32_t offset = 0;
  for (int z = 0; z < depth; ++z) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; x += kElementsOfChunk, offset += kChunk) {
        uint16_t chunk[kElementsOfChunk];
        read_chunk(chunk, load.map, load.at[0] + x, load.at[1] + y, load.at[2] + z);
        block.proxy.write(swizzled(load.to + offset), chunk, sizeof chunk);
      }
    }
  }
}

}  // namespace

void AsyncProxy::start(Block& block, int warps) {
  block_ = &block;
  fenced_stores = false;
  is_early_ = block.random(4) == 0;
  view_.clear();
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

const unsigned char* AsyncProxy::view(uint32_t address) const { return view_.data() + (address - kFirstSharedAddress); }

void AsyncProxy::publish_stores() {
  if (view_.empty()) view_.resize(block_->shared_size(), kPoison);
  if (fenced_stores) std::memcpy(view_.data(), block_->shared, view_.size());
  fenced_stores = false;
}

void AsyncProxy::write(uint32_t address, const void* bytes, size_t count) {
  if (view_.empty()) view_.resize(block_->shared_size(), kPoison);
  std::memcpy(view_.data() + (address - kFirstSharedAddress), bytes, count);
  std::memcpy(block_->shared + (address - kFirstSharedAddress), bytes, count);
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

void fence_async_proxy() { current_fiber->block->proxy.fenced_stores = true; }

void AsyncProxy::maybe_deliver(Block& block, Fiber& during) {
  if (is_early_ && block.random(8) == 0) deliver_one(block, during);
}

void issue_tma_load(uint32_t to, const TensorMap& map, uint32_t barrier, int x, int y, int z) {
  Fiber& thread = *current_fiber;
  Block& block = *thread.block;
  require_hopper(block, thread, "tma_load_3d");
  const int bytes = bytes_of_box(map);
  // Poison until the tile is there: whoever reads too early, or still needs what was there before, finds NaN.
  block.shared_bytes(thread, "tma_load_3d", to, bytes, kSwizzleBytes);
  const std::vector<unsigned char> poison(bytes, kPoison);
  block.proxy.write(to, poison.data(), poison.size());
  block.shared_bytes(thread, "tma_load_3d's mbarrier", barrier, 8, 8);
  block.proxy.loads.push_back({to, barrier, map, {x, y, z}});
  block.proxy.maybe_deliver(block, thread);
}

}  // namespace limo::cuda::emulator
