#pragma once

#include <cstdint>

#include "cpu/context.h"
#include "cpu/simd.h"

// Partition of the simple operations into tasks: by rows or by columns, in blocks whose size depends on the shape alone.
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

// to[i] += Σ_t term(t, i) for columns [0, columns) of at most kColumnsPerTask, rows in order. term(t, i, n, sum) adds the n ≤ kLanes
// columns from i on of row t to `sum`.
template <class Term>
LIMO_INLINE void add_column_sums(float* to, int64_t rows, int64_t columns, const Term& term) {
  Vec sums[kColumnsPerTask / kLanes] = {};
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t i = 0; i < columns; i += kLanes) {
      const int64_t n = columns - i < kLanes ? columns - i : kLanes;
      sums[i / kLanes] = term(t, i, n, sums[i / kLanes]);
    }
  for_lanes(
      columns, [&](int64_t i) { store(to + i, load(to + i) + sums[i / kLanes]); },
      [&](int64_t i, int64_t n) { store_partial(to + i, load_partial(to + i, n) + sums[i / kLanes], n); });
}

// body(row, sums) for every row, where it adds what the row has for `to` to sums[columns]; then to += the sums of all blocks of
// rows, in order. The blocks depend on the shape alone. At most kMostSummedColumns columns.
template <class Body>
LIMO_INLINE void for_rows_with_sums(const CpuContext& context, int64_t rows, int64_t columns, float* to, const Body& body) {
  constexpr int64_t kMostBlocks = 64;
  int64_t blocks = (rows + kRowsPerTask - 1) / kRowsPerTask;
  if (blocks > kMostBlocks) blocks = kMostBlocks;
  if (blocks > kMostSummedColumns / columns) blocks = kMostSummedColumns / columns;
  if (blocks < 1) return;
  const int64_t size = (rows + blocks - 1) / blocks;
  float* const partial = context.thread_scratch(0);  // [blocks, columns]
  parallel_for(context.pool, blocks, [&](int64_t block, int) {
    float* const sums = partial + block * columns;
    __builtin_memset(sums, 0, static_cast<size_t>(columns) * 4);
    for (int64_t row = block * size, end = block_end(row, size, rows); row < end; ++row) body(row, sums);
  });
  for_column_blocks(context, columns, [&](int64_t first, int64_t count) {
    add_column_sums(to + first, blocks, count, [&](int64_t block, int64_t i, int64_t n, Vec sum) {
      return sum + load_up_to(partial + block * columns + first + i, n);
    });
  });
}

}  // namespace limo::LIMO_ISA
