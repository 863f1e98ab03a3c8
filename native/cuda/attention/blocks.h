#pragma once

#include <cstdint>
#include <vector>

namespace limo::cuda {

// One work item of a thread block: block number `block` of a sequence, consecutive rows.
struct Block {
  int32_t first_row, length;  // first row and length of the whole sequence
  int32_t block;
  int32_t unused;
};
static_assert(sizeof(Block) == 16);

// Kind of rows. A query attends to all earlier keys, so later blocks of queries cost more; a key is attended to by all later queries, so
// earlier blocks of keys cost more.
enum class BlockRows { kQueries, kKeys };

// All blocks of the sequences between `count` bounds, most expensive first. The device schedules thread blocks in this order, so short ones
// fill the tail.
std::vector<Block> list_blocks(const int32_t* cu_seqlens, int64_t count, int rows_per_block, BlockRows rows = BlockRows::kQueries);

}  // namespace limo::cuda
