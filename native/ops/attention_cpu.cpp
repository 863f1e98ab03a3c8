#include "ops/attention.h"

#include <cmath>

#include "cpu/attention_rows.h"
#include "cpu/blocks.h"

namespace limo::LIMO_ISA {
namespace {

// All query heads [head, head + heads) of one key/value head for one block of queries.
template <class T>
void attend_block(const Attention& op, const RowBlock& block, int64_t head, int64_t heads, int64_t kv_head, float* scratch) {
  constexpr int64_t kKeys = Blocks<Unit<T>>::kKeys;
  const int64_t dim = static_cast<int64_t>(op.head_dim), end = block.first + block.rows;
  const QueryRows<T> query{op.q.row<T>(block.first) + head * dim, op.q.row_stride, dim, heads, block.rows, dim,
                           block.first + 1, 1, static_cast<float>(op.scale)};
  const auto key_block = [&](int64_t number) {
    const int64_t first = block.sequence_start + number * kKeys;
    return KeyBlock<T>{op.k.row<T>(first) + kv_head * dim, op.v.row<T>(first) + kv_head * dim, op.k.row_stride, op.v.row_stride, first,
                       smaller(kKeys, end - first)};
  };
  const AttendedRows attended = attend_rows(query, blocks_of(end - block.sequence_start, kKeys), key_block, scratch);
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t r = 0; r < block.rows; ++r) {
      const float total = attended.total(h, r);
      store_scaled(op.out.row<T>(block.first + r) + (head + h) * dim, attended.sum(h, r), dim, 1.0f / total);
      op.lse.row(block.first + r)[head + h] = attended.max(h, r) + ::logf(total);
    }
}

template <class T>
void attend(const Attention& op, const CpuContext& context) {
  const int64_t dim = static_cast<int64_t>(op.head_dim);
  for_query_blocks<T>(context, op.cu_seqlens, op.k.cols / dim, op.q.cols / op.k.cols, dim,
                      [&](const RowBlock& block, int64_t kv_head, int64_t head, int64_t heads, int thread) {
                        attend_block<T>(op, block, head, heads, kv_head, context.thread_scratch(thread));
                      });
}

}  // namespace

void run(const Attention& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { attend<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
