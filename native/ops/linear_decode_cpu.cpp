#include "ops/linear_decode.h"

#include <utility>

#include "cpu/blocks.h"
#include "cpu/dot.h"

namespace limo::LIMO_ISA {
namespace {

// A tile of dot products: rows of x with rows of the weights, two sums each, in registers.
#if defined(__AVX512F__)
constexpr int kRows = 6;
#else
constexpr int kRows = 3;
#endif
constexpr int kWeights = 2;
// With a row or two the weights are read one after the other, as a stream, which is what memory is fastest at.
constexpr int kFewRows = 2;

// Bytes of weights that a task reads.
constexpr int64_t kTaskBytes = 128 << 10;
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

// The dot products of a tile, lane by lane: of row i with weight j in total[i·Weights + j], even and odd steps apart and then added. Of
// the weights that come next, every `turns`-th line is fetched, from line `turn` on.
template <int Rows, int Weights, class T, class Out>
LIMO_INLINE void dot_tile(const Products<T, Out>& p, int64_t row, int64_t column, int64_t turn, int64_t turns, Vec* total) {
  // Whole lines of the weights.
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

// `tiles` tiles of the same rows, one after the other, whose sums are added up together. Of more than one tile they are kLanes at most.
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

// y = x·weightᵀ + bias, for as many rows of x at a time as fit into working memory as factors.
template <class T, class Out>
void multiply(const Tensor& x, const Tensor& weight, const T* bias, Tensor y, const CpuContext& context) {
  const int64_t k = x.cols, columns = weight.rows;
  const int64_t row_bytes = k * static_cast<int64_t>(sizeof(T)), per_task = kTaskBytes / row_bytes;
  const int64_t size = blocks_of(per_task < 1 ? 1 : per_task, kLanes) * kLanes;
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
