#pragma once

#include <cstdint>
#include <vector>

namespace limo::cuda {

// Consecutive rows of one sequence that a thread block works on: number `block` of those that its rows are cut into.
struct Block {
  int32_t first_row, length;  // of the whole sequence
  int32_t block;
  int32_t unused;
};
static_assert(sizeof(Block) == 16);

// What the rows of the blocks are. Queries look at all keys before them, so later blocks cost more; keys are looked at by all
// queries after them, so earlier blocks do.
enum class BlockRows { kQueries, kKeys };

// All blocks of the sequences between `count` bounds, the costliest first: the device takes them in this order, and short ones
// fill what long ones leave.
std::vector<Block> list_blocks(const int32_t* cu_seqlens, int64_t count, int rows_per_block, BlockRows rows = BlockRows::kQueries);

}  // namespace limo::cuda
