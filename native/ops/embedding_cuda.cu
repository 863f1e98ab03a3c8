#include <algorithm>
#include <vector>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/embedding.h"

namespace limo::cuda {
namespace {

template <class T, int N>
struct TakeRows {
  using Index = uint32_t;
  T* out;
  const T* table;
  const int32_t* ids;
  int64_t out_stride, table_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / packs_per_row, column = i % packs_per_row * N;
    float x[N];
    load<N>(x, table + ids[row] * table_stride + column);
    store<N>(out + row * out_stride + column, x);
  }
};

// The rows of one token id: those at order[first] … order[first + count − 1].
struct Occurrences {
  int32_t id, first, count;
};

// A thread adds up N columns of all rows of one id, in their order.
template <class T, int N>
struct AddRowsOfIds {
  using Index = uint32_t;
  float* d_table;
  const T* d_out;
  const Occurrences* occurrences;
  const int32_t* order;
  int64_t d_table_stride, d_out_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t column = i % packs_per_row * N;
    const Occurrences rows = occurrences[i / packs_per_row];
    float* const to = d_table + rows.id * d_table_stride + column;
    float sum[N];
    load<N>(sum, to);
#pragma unroll 8
    for (int32_t r = rows.first; r < rows.first + rows.count; ++r) {
      float x[N];
      load<N>(x, d_out + order[r] * d_out_stride + column);
#pragma unroll
      for (int j = 0; j < N; ++j) sum[j] += x[j];
    }
    store<N>(to, sum);
  }
};

// The rows of a run by token id, those of one id in their order: sums do not depend on which thread comes first.
std::vector<int32_t> order_by_id(const int32_t* ids, int64_t rows) {
  std::vector<int32_t> order(static_cast<size_t>(rows));
  for (int64_t t = 0; t < rows; ++t) order[static_cast<size_t>(t)] = static_cast<int32_t>(t);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return ids[a] < ids[b]; });
  return order;
}

std::vector<Occurrences> occurrences_of(const int32_t* ids, int64_t rows) {
  std::vector<int32_t> sorted(ids, ids + rows);
  std::sort(sorted.begin(), sorted.end());
  std::vector<Occurrences> occurrences;
  for (int32_t i = 0; i < rows; ++i) {
    const int32_t id = sorted[static_cast<size_t>(i)];
    if (occurrences.empty() || occurrences.back().id != id) occurrences.push_back({id, i, 0});
    ++occurrences.back().count;
  }
  return occurrences;
}

enum Lists { kOrder, kOccurrences };

}  // namespace

template <>
size_t check_limits(const Embedding& op, const CudaContext&) {
  check_packs(op.out, takes_packs(op.out) && takes_packs(op.table));
  return 0;
}

template <>
size_t check_limits(const EmbeddingBackward& op, const CudaContext&) {
  check_packs(op.d_out, takes_packs(op.d_table) && takes_packs(op.d_out));
  return static_cast<size_t>(op.ids.rows) * (sizeof(int32_t) + sizeof(Occurrences));
}

void run(const Embedding& op, CudaContext& context) {
  with_pack(op.out.dtype, takes_packs(op.out) && takes_packs(op.table), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = op.out.cols / N;
    for_each(context, op.out.rows * packs,
             TakeRows<T, N>{op.out.row<T>(0), op.table.row<T>(0), op.ids.i32(), op.out.row_stride, op.table.row_stride,
                            static_cast<uint32_t>(packs)});
  });
}

void run(const EmbeddingBackward& op, CudaContext& context) {
  const int32_t* ids = context.integers(op.ids);
  const auto order = context.list<int32_t>(op.ids, kOrder, [&] { return order_by_id(ids, op.ids.rows); });
  const auto occurrences = context.list<Occurrences>(op.ids, kOccurrences, [&] { return occurrences_of(ids, op.ids.rows); });
  with_pack(op.d_out.dtype, takes_packs(op.d_table) && takes_packs(op.d_out), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = op.d_out.cols / N;
    for_each(context, occurrences.count * packs,
             AddRowsOfIds<T, N>{op.d_table.f32(), op.d_out.row<T>(0), occurrences.data, order.data, op.d_table.row_stride, op.d_out.row_stride,
                                static_cast<uint32_t>(packs)});
  });
}

}  // namespace limo::cuda
