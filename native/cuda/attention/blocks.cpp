#include "cuda/attention/blocks.h"

#include <algorithm>

namespace limo::cuda {

std::vector<Block> list_blocks(const int32_t* cu_seqlens, int64_t count, int rows_per_block, BlockRows rows) {
  std::vector<Block> blocks;
  for (int64_t s = 0; s + 1 < count; ++s) {
    const int32_t length = cu_seqlens[s + 1] - cu_seqlens[s];
    for (int32_t block = 0; block < (length + rows_per_block - 1) / rows_per_block; ++block) {
      blocks.push_back({cu_seqlens[s], length, block, 0});
    }
  }
  // Cost of a block: rows of the other kind that it attends to, or that attend to it.
  const auto cost = [&](const Block& b) {
    const int32_t before = b.block * rows_per_block;
    return rows == BlockRows::kQueries ? std::min(b.length, before + rows_per_block) : b.length - before;
  };
  std::stable_sort(blocks.begin(), blocks.end(), [&](const Block& a, const Block& b) { return cost(a) > cost(b); });
  return blocks;
}

}  // namespace limo::cuda
