#include "ops/linear_decode.h"

#include <utility>

#include "cpu/amx.h"
#include "cpu/blocks.h"
#include "cpu/dot.h"
#include "cpu/gemm.h"

namespace limo::LIMO_ISA {
namespace {

// Register tile of dot products: rows of x by rows of the weights, with two accumulators each.
#if defined(__AVX512F__) || defined(LIMO_NEON)
constexpr int kRows = 6;
#else
constexpr int kRows = 3;
#endif
constexpr int kWeights = 2;
// With one or two rows of x the weights are read one row after the other: a single stream has the highest memory bandwidth.
constexpr int kFewRows = 2;

// Task size, in bytes of weights. 8 tasks a thread absorb stragglers. Larger is better: the prefetch at a task's end warms the cache of a
// core that does not go on with those weights.
constexpr int64_t kFewestTaskBytes = 128 << 10, kMostTaskBytes = 512 << 10, kTasksOfThread = 8;
constexpr int64_t kLineBytes = 64;

// Rows of x and of the weights, and where the products go; strides in elements.
template <class T, class Out>
struct Products {
  Factors<T> x;
  int64_t rows, k;
  const T* weight;
  int64_t weight_stride;
  const T* bias;  // may be null
  Out* y;
  int64_t y_stride;
};

// The dot products of a tile, lane by lane: row i with weight j in total[i·Weights + j]. Two accumulators, for even and odd steps of k,
// hide the latency of a multiply-add. The `turns` row tiles of the same weights share the prefetch of the next weights: this one takes
// lines turn, turn + turns, …
template <int Rows, int Weights, class T, class Out>
LIMO_INLINE void dot_tile(const Products<T, Out>& p, int64_t row, int64_t column, int64_t turn, int64_t turns, Vec* total) {
  // Steps of k per prefetch: whole cache lines of the weights.
  constexpr int64_t kStepBytes = kStep<T> * static_cast<int64_t>(sizeof(T));
  constexpr int64_t kSteps = kStepBytes * 2 < kLineBytes ? kLineBytes / kStepBytes : 2, kLines = kSteps * kStepBytes / kLineBytes;
  Vec sum[2][Rows][Weights];
#pragma GCC unroll 32
  for (int i = 0; i < 2 * Rows * Weights; ++i) sum[i % 2][i / 2 % Rows][i / 2 / Rows] = Vec{};
  const Factor<T>* const x = p.x.first + row * p.x.stride;
  const T* const w = p.weight + column * p.weight_stride;
  const auto step = [&](int64_t k, int64_t n, int parity) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int j = 0; j < Weights; ++j)
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i)
        sum[parity][i][j] = multiply_step(x + i * p.x.stride + k, w + j * p.weight_stride + k, n, sum[parity][i][j]);
  };
  const char* const ahead = reinterpret_cast<const char*>(w + Weights * p.weight_stride);
  const int64_t row_bytes = p.weight_stride * static_cast<int64_t>(sizeof(T));
  int64_t k = 0;
  for (; k + kSteps * kStep<T> <= p.k; k += kSteps * kStep<T>) {
    if (--turn < 0) {
      turn = turns - 1;
#pragma GCC unroll 4
      for (int j = 0; j < Weights; ++j)
#pragma GCC unroll 4
        for (int line = 0; line < kLines; ++line)
          __builtin_prefetch(ahead + j * row_bytes + k * static_cast<int64_t>(sizeof(T)) + line * kLineBytes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kSteps; ++i) step(k + i * kStep<T>, kStep<T>, i % 2);
  }
  for (int parity = 0; k < p.k; k += kStep<T>, parity ^= 1) step(k, smaller(kStep<T>, p.k - k), parity);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Weights; ++j) total[i * Weights + j] = sum[0][i][j] + sum[1][i][j];
}

LIMO_INLINE void put(float* to, float value) { *to = value; }
LIMO_INLINE void put(Bf16* to, float value) { store_partial(to, splat(value), 1); }

// `tiles` tiles of the same rows, one after the other, with one horizontal reduction for all. More than one tile: at most kLanes sums in
// all.
template <int Rows, int Weights, class T, class Out>
void multiply_tiles(const Products<T, Out>& p, int64_t row, int64_t column, int64_t tiles, int64_t turn, int64_t turns) {
  constexpr int kSums = Rows * Weights, kMost = (kSums + kLanes - 1) / kLanes * kLanes;
  Vec totals[kMost] = {};
  for (int64_t tile = 0; tile < tiles; ++tile)
    dot_tile<Rows, Weights>(p, row, column + tile * Weights, turn, turns, totals + tile * kSums);
  float values[kMost];
  for (int first = 0; first < kMost; first += kLanes) {
    Vec some[kLanes];
    __builtin_memcpy(some, totals + first, sizeof some);
    store(values + first, reduce_add_each(some));
  }
  for (int64_t n = 0; n < tiles * kSums; ++n) {
    const int64_t i = n % kSums / Weights, j = column + n / kSums * Weights + n % Weights;
    put(p.y + (row + i) * p.y_stride + j, p.bias ? values[n] + first_lane(load_partial(p.bias + j, 1)) : values[n]);
  }
}

// All rows of x with `Weights` rows of the weights, or with those of `tiles` tiles where the rows are one tile.
template <int Weights, int MostRows, class T, class Out, int... Rows>
LIMO_INLINE void multiply_rows(const Products<T, Out>& p, int64_t column, int64_t tiles, std::integer_sequence<int, Rows...>) {
  using Kernel = void (*)(const Products<T, Out>&, int64_t, int64_t, int64_t, int64_t, int64_t);
  static constexpr Kernel kernels[] = {multiply_tiles<Rows + 1, Weights, T, Out>...};
  const int64_t turns = blocks_of(p.rows, MostRows);
  for (int64_t row = 0, turn = 0; row < p.rows; ++turn) {
    const int64_t rows = even_piece(p.rows - row, MostRows);
    kernels[rows - 1](p, row, column, tiles, turn, turns);
    row += rows;
  }
}

// All rows of x with the weights [first, end).
template <class T, class Out>
LIMO_INLINE void multiply_columns(const Products<T, Out>& p, int64_t first, int64_t end) {
  int64_t column = first;
  if (p.rows > kFewRows)
    for (; column + kWeights <= end; column += kWeights)
      multiply_rows<kWeights, kRows>(p, column, 1, std::make_integer_sequence<int, kRows>{});
  const int64_t together = p.rows > kFewRows ? 1 : kLanes / p.rows;
  for (; column < end; column += together)
    multiply_rows<1, kRows>(p, column, smaller(together, end - column), std::make_integer_sequence<int, kRows>{});
}

// Weights of a task, whole tiles.
LIMO_INLINE int64_t weights_of_task(const Tensor& weight, int64_t threads) {
  const int64_t row_bytes = weight.cols * dtype_bytes(weight.dtype), even = weight.rows * row_bytes / (threads * kTasksOfThread);
  const int64_t bytes = even < kFewestTaskBytes ? kFewestTaskBytes : smaller(even, kMostTaskBytes);
  return blocks_of(bytes / row_bytes + 1, 2 * kLanes) * 2 * kLanes;
}

#if defined(__AMX_BF16__)
// With AMX the weights are A, read without packing, and rows of x are columns of B, packed once for all threads. A tile takes as long for
// one row of x as for sixteen. One tile of weights at a time reaches full memory bandwidth; two, which would share loads of x, reach 85% of
// it.
constexpr int64_t kStepColumns = 2 * kAmxUnits, kColumnsAhead = 4 * kStepColumns;
// Capacity for packed rows of x, in pairs. Rows that do not fit are multiplied without AMX.
constexpr int64_t kPackedPairs = 1 << 20, kMostPackedColumns = 2 * kPackedPairs / kLanes - kStepColumns;
static_assert(kPackedPairs * 4 <= kScratchBytesPerThread);

// sums[weights][columns of the panel] = Σ_k weight·x for a tile of weights; `tail` has the remainder of their rows after whole steps,
// padded with zeros.
template <int Vectors>
LIMO_INLINE void multiply_weights(const Bf16* weight, int64_t stride, const Pair* tail, const Pair* panel, int64_t k,
                                  float (&sums)[kAmxRows][2 * kLanes]) {
  _tile_zero(0);
  if constexpr (Vectors > 1) _tile_zero(1);
  const auto step = [&](const void* rows, int64_t row_bytes) __attribute__((always_inline)) {
    _tile_loadd(4, rows, row_bytes);
    _tile_loadd(6, panel, Vectors * 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Vectors > 1) {
      _tile_loadd(7, panel + kLanes, Vectors * 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    panel += kAmxUnits * Vectors * kLanes;
  };
  int64_t i = 0;
  for (; i + kStepColumns <= k; i += kStepColumns) {
    // Prefetch the same rows kColumnsAhead later; near their end, the start of the next rows.
    const Bf16* ahead = weight + i + kColumnsAhead;
    if (i + kColumnsAhead >= k) ahead += kAmxRows * stride - k;
#pragma GCC unroll 16
    for (int row = 0; row < kAmxRows; ++row) __builtin_prefetch(ahead + row * stride);
    step(weight + i, stride * 2);
  }
  if (i < k) step(tail, kAmxUnits * 4);
  _tile_stored(0, sums[0], sizeof sums[0]);
  if constexpr (Vectors > 1) _tile_stored(1, sums[0] + kLanes, sizeof sums[0]);
}

// All rows of x, packed, with the weights [first, end).
template <class Out>
void multiply_columns(const Products<Bf16, Out>& p, const Pair* packed, int64_t first, int64_t end) {
  alignas(64) Pair tail[kAmxRows * kAmxUnits] = {};
  alignas(64) float sums[kAmxRows][2 * kLanes];
  const int64_t whole = p.k / kStepColumns * kStepColumns;
  AmxTiles tiles;
  for (int64_t column = first; column < end; column += kAmxRows) {
    const int64_t weights = smaller(kAmxRows, end - column);
    tiles.set_rows(weights, weights);
    const Bf16* const weight = p.weight + column * p.weight_stride;
    if (whole < p.k) copy_rows(tail, weight + whole, p.weight_stride, weights, p.k - whole);
    AmxTiles::write_memory();
    const Pair* panel = packed;
    for (int64_t row = 0; row < p.rows;) {
      const int64_t width = panel_width<Pair>(p.rows - row), rows = smaller(width, p.rows - row);
      if (width > kLanes) multiply_weights<2>(weight, p.weight_stride, tail, panel, p.k, sums);
      else multiply_weights<1>(weight, p.weight_stride, tail, panel, p.k, sums);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < weights; ++j)
          put(p.y + (row + i) * p.y_stride + column + j, p.bias ? sums[j][i] + first_lane(load_partial(p.bias + column + j, 1)) : sums[j][i]);
      panel += width * units_of<Pair>(p.k);
      row += width;
    }
  }
}

template <class Out>
void multiply_packed_rows(const Tensor& x, const Tensor& weight, const Bf16* bias, Tensor y, const CpuContext& context) {
  const int64_t k = x.cols, columns = weight.rows, size = weights_of_task(weight, context.pool.threads());
  const int64_t most = kPackedPairs / units_of<Pair>(k) / kLanes * kLanes;
  Pair* const packed = reinterpret_cast<Pair*>(context.thread_scratch(0));
  for (int64_t row = 0; row < x.rows; row += most) {
    const int64_t rows = smaller(most, x.rows - row);
    pack_b(packed, x.row<Bf16>(row), 1, x.row_stride, k, rows);
    const Products<Bf16, Out> p{{}, rows, k, weight.row<Bf16>(0), weight.row_stride, bias, y.row<Out>(row), y.row_stride};
    parallel_for(context.pool, blocks_of(columns, size),
                 [&](int64_t task, int) { multiply_columns(p, packed, task * size, block_end(task * size, size, columns)); });
  }
}
#endif

// y = x·weightᵀ + bias, in chunks of as many rows of x as working memory holds as factors.
template <class T, class Out>
void multiply(const Tensor& x, const Tensor& weight, const T* bias, Tensor y, const CpuContext& context) {
  const int64_t k = x.cols, columns = weight.rows, size = weights_of_task(weight, context.pool.threads());
#if defined(__AMX_BF16__)
  if constexpr (std::is_same_v<T, Bf16>)
    if (k <= kMostPackedColumns) return multiply_packed_rows<Out>(x, weight, bias, y, context);
#endif
  const int64_t most = kMostSummedColumns / k;
  for (int64_t row = 0; row < x.rows; row += most) {
    const int64_t rows = smaller(most, x.rows - row);
    const Factors<T> factors = factors_of(x.row<T>(row), x.row_stride, rows, k, context.thread_scratch(0));
    const Products<T, Out> p{factors, rows, k, weight.row<T>(0), weight.row_stride, bias, y.row<Out>(row), y.row_stride};
    parallel_for(context.pool, blocks_of(columns, size), [&](int64_t task, int) {
      multiply_columns(p, task * size, block_end(task * size, size, columns));
    });
  }
}

}  // namespace

void run(const LinearDecode& op, const CpuContext& context) {
  with_element(op.y.dtype, [&](auto element) {
    using T = decltype(element);
    multiply<T, T>(op.x, op.weight, op.bias ? op.bias.row<T>(0) : nullptr, op.y, context);
  });
}

void run(const Logits& op, const CpuContext& context) {
  with_element(op.hidden.dtype, [&](auto element) {
    using T = decltype(element);
    for (int64_t s = 0; s < op.rows.rows; ++s)
      __builtin_memcpy(op.hidden_rows.row<T>(s), op.hidden.row<T>(op.rows.i32()[s]), static_cast<size_t>(op.hidden.cols) * sizeof(T));
    multiply<T, float>(op.hidden_rows, op.weight, nullptr, op.logits, context);
  });
}

}  // namespace limo::LIMO_ISA
