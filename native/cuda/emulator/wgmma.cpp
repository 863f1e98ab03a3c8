#include <algorithm>
#include <cstring>
#include <limits>

#include "cuda/emulator/block.h"
#include "cuda/emulator/swizzle.h"
#include "cuda/emulator/warp_words.h"

namespace limo::cuda::emulator {
namespace {

constexpr int kRows = 16;                                          // rows of a warp's quarter of the 64
constexpr int kDepth = 16;                                         // depth of one wgmma: k of 16
constexpr float kTaken = std::numeric_limits<float>::quiet_NaN();  // content of an accumulator's registers in flight

typedef float Vector __attribute__((vector_size(32)));
constexpr int kVector = 8;

struct Descriptor {
  uint32_t address, leading_bytes, stride_bytes;
};

Descriptor decode(Block& block, const Fiber& by, uint64_t bits) {
  if (bits >> 62 != 1)
    block.fail(by, "wgmma: expected a descriptor of a 128-byte swizzle but received %016llx", static_cast<unsigned long long>(bits));
  return {static_cast<uint32_t>(bits & 0x3fff) << 4, static_cast<uint32_t>(bits >> 16 & 0x3fff) << 4,
          static_cast<uint32_t>(bits >> 32 & 0x3fff) << 4};
}

// Operands are tiles of 8 rows of 128 bytes. Where k is contiguous, rows are those of the matrix and stride_bytes is from 8
// rows to the next 8. Where it is not, rows are k, their 64 elements are of the other dimension; stride_bytes is from 8 of k to
// the next 8, and leading_bytes from 64 of the other dimension to the next 64.
uint32_t address_of(const Descriptor& tile, bool transposed, int row, int k) {
  if (transposed) return tile.address + row / 64 * tile.leading_bytes + k / 8 * tile.stride_bytes + k % 8 * 128 + row % 64 * 2;
  return tile.address + row / 8 * tile.stride_bytes + row % 8 * 128 + k * 2;
}

// The 8 elements of a chunk of 16 bytes, as float32.
void read_chunk(Block& block, const Fiber& by, uint32_t address, float (&to)[8]) {
  uint16_t bits[8];
  const unsigned char* stored = block.shared_bytes(by, "wgmma", swizzled(address), sizeof bits, 16);
  std::memcpy(bits, block.proxy.view(swizzled(address)), sizeof bits);
  if (std::memcmp(stored, bits, sizeof bits) != 0) {
    block.fail(by,
               "wgmma: expected an operand at offset %u that was stored before a fence_proxy_async, and is as it was, but received another",
               swizzled(address) - kFirstSharedAddress);
  }
  for (int i = 0; i < 8; ++i) {
    const uint32_t wide = static_cast<uint32_t>(bits[i]) << 16;
    std::memcpy(&to[i], &wide, 4);
  }
}

// to[k][row] of the rows from `first` on; both multiples of 8.
template <int Columns>
void read_operand(Block& block, const Fiber& by, uint64_t bits, bool transposed, int first, int rows, float (&to)[kDepth][Columns]) {
  const Descriptor tile = decode(block, by, bits);
  float chunk[8];
  if (transposed) {
    for (int k = 0; k < kDepth; ++k) {
      for (int row = 0; row < rows; row += 8) {
        read_chunk(block, by, address_of(tile, true, first + row, k), chunk);
        std::memcpy(&to[k][row], chunk, sizeof chunk);
      }
    }
    return;
  }
  for (int row = 0; row < rows; ++row) {
    for (int k = 0; k < kDepth; k += 8) {
      read_chunk(block, by, address_of(tile, false, first + row, k), chunk);
      for (int i = 0; i < 8; ++i) to[k + i][row] = chunk[i];
    }
  }
}

// Lane l holds in register r the elements [row][k] and [row][k + 1] of A.
void read_registers(Block& block, const Fiber& by, const WgmmaProduct& product, float (&to)[kDepth][kRows]) {
  for (int lane = 0; lane < kWarp; ++lane) {
    if (std::memcmp(product.a_registers[lane], product.a_at_issue[lane].data(), sizeof product.a_at_issue[lane]) != 0) {
      block.fail(by, "wgmma: expected A's registers to live, unchanged, until the wait but received others in lane %d", lane);
    }
    for (int r = 0; r < 4; ++r) {
      const int row = lane / 4 + r % 2 * 8, k = lane % 4 * 2 + r / 2 * 8;
      const uint32_t pair = product.a_at_issue[lane][r], low = pair << 16, high = pair & 0xffff0000;
      std::memcpy(&to[k][row], &low, 4);
      std::memcpy(&to[k + 1][row], &high, 4);
    }
  }
}

// Calls body(register of the lane, row, column) for what a lane holds of a sum.
template <class Body>
void each_register(int lane, int columns, const Body& body) {
  for (int r = 0; r < columns / 2; ++r) body(r, lane / 4 + r / 2 % 2 * 8, r / 4 * 8 + lane % 4 * 2 + r % 2);
}

void multiply(const float (&a)[kDepth][kRows], const float (&b)[kDepth][kMostColumns], Accumulator& sum) {
  constexpr int kTileRows = 4;
  for (int column = 0; column < sum.columns; column += 2 * kVector) {
    for (int row = 0; row < kRows; row += kTileRows) {
      Vector tile[kTileRows][2];
      for (int i = 0; i < kTileRows; ++i) std::memcpy(tile[i], &sum.values[row + i][column], sizeof tile[i]);
      for (int k = 0; k < kDepth; ++k) {
        Vector line[2];
        std::memcpy(line, &b[k][column], sizeof line);
        for (int i = 0; i < kTileRows; ++i) {
          tile[i][0] += a[k][row + i] * line[0];
          tile[i][1] += a[k][row + i] * line[1];
        }
      }
      for (int i = 0; i < kTileRows; ++i) std::memcpy(&sum.values[row + i][column], tile[i], sizeof tile[i]);
    }
  }
}

void execute(Block& block, const Fiber& by, const WgmmaProduct& product) {
  alignas(32) float a[kDepth][kRows];
  alignas(32) float b[kDepth][kMostColumns];
  if (product.a_in_registers) read_registers(block, by, product, a);
  else read_operand(block, by, product.a_descriptor, product.transpose_a, by.warp % 4 * kRows, kRows, a);
  read_operand(block, by, product.b_descriptor, product.transpose_b, 0, product.columns, b);
  Accumulator& sum = *product.accumulator;
  if (!product.accumulate) std::memset(sum.values, 0, sizeof sum.values);
  multiply(a, b, sum);
}

Accumulator& find_accumulator(WgmmaQueue& queue, float* registers) {
  Accumulator* free = nullptr;
  for (const auto& accumulator : queue.accumulators) {
    if (accumulator->in_flight == 0) free = accumulator.get();
    else if (accumulator->registers[0] == registers) return *accumulator;
  }
  if (free) return *free;
  return *queue.accumulators.emplace_back(std::make_unique<Accumulator>());
}

// From here on the registers are the matrix unit's.
void take_registers(Accumulator& sum, int columns) {
  sum.columns = columns;
  for (int lane = 0; lane < kWarp; ++lane) {
    float* registers = sum.registers[lane];
    each_register(lane, columns, [&](int r, int row, int column) {
      sum.values[row][column] = registers[r];
      registers[r] = kTaken;
    });
  }
}

void give_registers_back(Block& block, const Fiber& by, const Accumulator& sum) {
  for (int lane = 0; lane < kWarp; ++lane) {
    each_register(lane, sum.columns, [&](int r, int row, int column) {
      float& value = sum.registers[lane][r];
      if (std::memcmp(&value, &kTaken, sizeof value) != 0) {
        block.fail(
            by,
            "wgmma: expected the registers of an accumulator to be left alone until the wait but received a store to number %d of lane %d",
            r, lane);
      }
      value = sum.values[row][column];
    });
  }
}

struct Arguments {
  const WgmmaProduct* product;
  float* d;
  const uint32_t* a;
};

void enqueue(Block& block, Fiber& last, Warp& warp) {
  WgmmaQueue& queue = block.proxy.queues[last.warp];
  if (!queue.fenced)
    block.fail(last, "wgmma: expected a wgmma_fence between the last access to registers and the product but received none");
  const auto& first = *static_cast<const Arguments*>(warp.lanes[0]->arguments);
  WgmmaProduct product = *first.product;
  block.proxy.publish_stores();
  Accumulator& sum = find_accumulator(queue, first.d);
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& [of_lane, d, a] = *static_cast<const Arguments*>(warp.lanes[lane]->arguments);
    if (of_lane->a_descriptor != product.a_descriptor || of_lane->b_descriptor != product.b_descriptor ||
        of_lane->accumulate != product.accumulate || of_lane->columns != product.columns) {
      block.fail(*warp.lanes[lane], "wgmma: expected the same descriptors and flags in all lanes of a warp but received others");
    }
    product.a_registers[lane] = a;
    if (a) std::copy_n(a, 4, product.a_at_issue[lane].begin());
    if (sum.in_flight == 0) sum.registers[lane] = d;
  }
  if (sum.in_flight++ == 0) take_registers(sum, product.columns);
  product.accumulator = &sum;
  queue.products.push_back(product);
  ++queue.uncommitted;
}

void wait(Block& block, Fiber& last, Warp&) {
  const size_t groups = *static_cast<const size_t*>(last.arguments);
  WgmmaQueue& queue = block.proxy.queues[last.warp];
  queue.fenced = false;
  size_t done = 0;
  while (queue.groups.size() > groups) {
    for (const size_t end = done + queue.groups.front(); done < end; ++done) {
      const WgmmaProduct& product = queue.products[done];
      execute(block, last, product);
      if (--product.accumulator->in_flight == 0) give_registers_back(block, last, *product.accumulator);
    }
    queue.groups.erase(queue.groups.begin());
  }
  queue.products.erase(queue.products.begin(), queue.products.begin() + static_cast<ptrdiff_t>(done));
}

}  // namespace

void fence_wgmma() {
  collectively(Collective::kWgmmaFence, kAllLanes, nullptr, [](Block& block, Fiber& last, Warp&) {
    require_hopper(block, last, "wgmma_fence");
    block.proxy.queues[last.warp].fenced = true;
  });
}

void issue_wgmma(const WgmmaProduct& product, float* d, const uint32_t* a) {
  Arguments arguments = {&product, d, a};
  collectively(Collective::kWgmma, kAllLanes, &arguments, enqueue);
}

void commit_wgmma() {
  collectively(Collective::kWgmmaCommit, kAllLanes, nullptr, [](Block& block, Fiber& last, Warp&) {
    WgmmaQueue& queue = block.proxy.queues[last.warp];
    queue.groups.push_back(queue.uncommitted);
    queue.uncommitted = 0;
  });
}

void wait_for_wgmma(size_t groups) { collectively(Collective::kWgmmaWait, kAllLanes, &groups, wait); }

}  // namespace limo::cuda::emulator
