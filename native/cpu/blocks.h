#pragma once

#include <cstdint>

#include "cpu/context.h"

// How the simple operations are cut into tasks: by rows or by columns, in blocks whose size depends on the shape alone.
namespace limo::LIMO_ISA {

constexpr int64_t kRowsPerTask = 32;
constexpr int64_t kColumnsPerTask = 64;

LIMO_INLINE int64_t block_end(int64_t start, int64_t size, int64_t total) {
  return start + size < total ? start + size : total;
}

// body(T{}) with T the type of the elements: float or Bf16.
template <class Body>
LIMO_INLINE void with_element(DType dtype, const Body& body) {
  if (dtype == DType::kBF16) body(Bf16{});
  else body(float{});
}

// body(row) for every row.
template <class Body>
LIMO_INLINE void for_rows(const CpuContext& context, int64_t rows, const Body& body) {
  parallel_for(context.pool, (rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    const int64_t start = task * kRowsPerTask, end = block_end(start, kRowsPerTask, rows);
    for (int64_t row = start; row < end; ++row) body(row);
  });
}

// body(first, columns) for blocks of columns, for sums over the rows.
template <class Body>
LIMO_INLINE void for_column_blocks(const CpuContext& context, int64_t columns, const Body& body) {
  parallel_for(context.pool, (columns + kColumnsPerTask - 1) / kColumnsPerTask, [&](int64_t task, int) {
    const int64_t start = task * kColumnsPerTask;
    body(start, block_end(start, kColumnsPerTask, columns) - start);
  });
}

}  // namespace limo::LIMO_ISA
