#include "cpu/blocks.h"
#include "cpu/simd.h"
#include "ops/embedding.h"

namespace limo::LIMO_ISA {
namespace {

// Tasks are blocks of columns, not of tokens: two tokens with the same id add to the same row.
template <class T>
void add_to_table(const EmbeddingBackward& op, const CpuContext& context) {
  for_column_blocks(context, op.d_table.cols, [&](int64_t first, int64_t columns) {
    for (int64_t t = 0; t < op.d_out.rows; ++t) {
      float* to = op.d_table.row(op.ids.i32()[t]) + first;
      const T* from = op.d_out.row<T>(t) + first;
      for_lanes(
          columns, [&](int64_t i) { store(to + i, load(to + i) + load(from + i)); },
          [&](int64_t i, int64_t n) { store_partial(to + i, load_partial(to + i, n) + load_partial(from + i, n), n); });
    }
  });
}

}  // namespace

void run(const Embedding& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) {
    using T = decltype(element);
    for_rows(context, op.out.rows, [&](int64_t t) {
      __builtin_memcpy(op.out.row<T>(t), op.table.row<T>(op.ids.i32()[t]), static_cast<size_t>(op.out.cols) * sizeof(T));
    });
  });
}

void run(const EmbeddingBackward& op, const CpuContext& context) {
  with_element(op.d_out.dtype, [&](auto element) { add_to_table<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
