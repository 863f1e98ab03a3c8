#include "ops/linear_decode.h"

#include <utility>

#include "cpu/blocks.h"
#include "cpu/simd.h"
#include "cpu/tile.h"

namespace limo::LIMO_ISA {
namespace {

// A tile of dot products: kRows rows of x with kWeights rows of the weights, two sums each, in registers.
#if defined(__AVX512F__)
constexpr int kRows = 6;
#else
constexpr int kRows = 3;
#endif
constexpr int kWeights = 2;
// With a row or two the weights are read one after the other, as a stream, which is what memory is fastest at.
constexpr int kWeightsOfFewRows = 1;
constexpr int kFewRows = 2;

// Bytes of weights that a task reads.
constexpr int64_t kTaskBytes = 128 << 10;

// Numbers that one step of a dot product takes, and the step: sum + Σ x·w, lane by lane.
#if defined(__AVX512BF16__)
template <class T>
constexpr int64_t kStep = kLanes * kPerUnit<Unit<T>>;
typedef __m512bh Halves;
LIMO_INLINE Vec multiply_step(const Bf16* x, const Bf16* w, int64_t n, Vec sum) {
  if (n == kStep<Bf16>) return _mm512_dpbf16_ps(sum, (Halves)_mm512_loadu_si512(x), (Halves)_mm512_loadu_si512(w));
  const __mmask32 mask = static_cast<__mmask32>((1ull << n) - 1);
  return _mm512_dpbf16_ps(sum, (Halves)_mm512_maskz_loadu_epi16(mask, x), (Halves)_mm512_maskz_loadu_epi16(mask, w));
}
#else
template <class T>
constexpr int64_t kStep = kLanes;
LIMO_INLINE Vec multiply_step(const Bf16* x, const Bf16* w, int64_t n, Vec sum) { return load_up_to(x, n) * load_up_to(w, n) + sum; }
#endif
LIMO_INLINE Vec multiply_step(const float* x, const float* w, int64_t n, Vec sum) { return load_up_to(x, n) * load_up_to(w, n) + sum; }

// Rows of x and of the weights, and where the products go; strides in elements.
template <class T, class Out>
struct Products {
  const T* x;
  int64_t x_stride, rows, k;
  const T* weight;
  int64_t weight_stride;
  const T* bias;  // may be null
  Out* y;
  int64_t y_stride;
};

// The dot products of a tile. Each is summed in the order of k alone, even and odd steps apart, so it does not depend on the tile's
// shape. Of the weights that come next, every `turns`-th line is fetched, from line `turn` on.
template <int Rows, int Weights, class T, class Out>
void multiply_tile(const Products<T, Out>& p, int64_t row, int64_t column, int64_t turn, int64_t turns) {
  Vec sum[2][Rows][Weights];
#pragma GCC unroll 32
  for (int i = 0; i < 2 * Rows * Weights; ++i) sum[i % 2][i / 2 % Rows][i / 2 / Rows] = Vec{};
  const T* const x = p.x + row * p.x_stride;
  const T* const w = p.weight + column * p.weight_stride;
  const auto step = [&](int64_t k, int64_t n, int parity) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int j = 0; j < Weights; ++j)
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i)
        sum[parity][i][j] = multiply_step(x + i * p.x_stride + k, w + j * p.weight_stride + k, n, sum[parity][i][j]);
  };
  const int64_t ahead = Weights * p.weight_stride;
  int64_t k = 0;
  for (; k + 2 * kStep<T> <= p.k; k += 2 * kStep<T>) {
    if (--turn < 0) {
      turn = turns - 1;
#pragma GCC unroll 4
      for (int j = 0; j < Weights; ++j) {
        __builtin_prefetch(w + ahead + j * p.weight_stride + k);
        __builtin_prefetch(w + ahead + j * p.weight_stride + k + kStep<T>);
      }
    }
    step(k, kStep<T>, 0);
    step(k + kStep<T>, kStep<T>, 1);
  }
  for (int parity = 0; k < p.k; k += kStep<T>, parity ^= 1) step(k, smaller(kStep<T>, p.k - k), parity);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Weights; ++j) {
      const float value = reduce_add(sum[0][i][j] + sum[1][i][j]);
      const float offset = p.bias ? first_lane(load_partial(p.bias + column + j, 1)) : 0.0f;
      store_partial(p.y + (row + i) * p.y_stride + column + j, splat(value + offset), 1);
    }
}

// All rows of x with `Weights` rows of the weights.
template <int Weights, int MostRows, class T, class Out, int... Rows>
LIMO_INLINE void multiply_rows(const Products<T, Out>& p, int64_t column, std::integer_sequence<int, Rows...>) {
  using Kernel = void (*)(const Products<T, Out>&, int64_t, int64_t, int64_t, int64_t);
  static constexpr Kernel kernels[] = {multiply_tile<Rows + 1, Weights, T, Out>...};
  const int64_t tiles = blocks_of(p.rows, MostRows);
  for (int64_t row = 0, tile = 0; row < p.rows; ++tile) {
    const int64_t rows = even_piece(p.rows - row, MostRows);
    kernels[rows - 1](p, row, column, tile, tiles);
    row += rows;
  }
}

template <int Weights, int MostRows, class T, class Out>
LIMO_INLINE void multiply_columns(const Products<T, Out>& p, int64_t first, int64_t end) {
  int64_t column = first;
  for (; column + Weights <= end; column += Weights) multiply_rows<Weights, MostRows>(p, column, std::make_integer_sequence<int, MostRows>{});
  for (; column < end; ++column) multiply_rows<1, MostRows>(p, column, std::make_integer_sequence<int, MostRows>{});
}

template <class T, class Out>
void multiply(const Products<T, Out>& p, int64_t columns, const CpuContext& context) {
  if (p.rows == 0) return;
  const int64_t row_bytes = p.k * static_cast<int64_t>(sizeof(T)), together = kTaskBytes / row_bytes;
  const int64_t size = blocks_of(together < 1 ? 1 : together, kWeights) * kWeights;
  parallel_for(context.pool, blocks_of(columns, size), [&](int64_t task, int) {
    const int64_t first = task * size, end = block_end(first, size, columns);
    if (p.rows <= kFewRows) multiply_columns<kWeightsOfFewRows, kFewRows>(p, first, end);
    else multiply_columns<kWeights, kRows>(p, first, end);
  });
}

}  // namespace

void run(const LinearDecode& op, const CpuContext& context) {
  with_element(op.y.dtype, [&](auto element) {
    using T = decltype(element);
    multiply(Products<T, T>{op.x.row<T>(0), op.x.row_stride, op.x.rows, op.x.cols, op.weight.row<T>(0), op.weight.row_stride,
                            op.bias ? op.bias.row<T>(0) : nullptr, op.y.row<T>(0), op.y.row_stride},
             op.y.cols, context);
  });
}

void run(const Logits& op, const CpuContext& context) {
  with_element(op.hidden.dtype, [&](auto element) {
    using T = decltype(element);
    for (int64_t s = 0; s < op.rows.rows; ++s)
      __builtin_memcpy(op.hidden_rows.row<T>(s), op.hidden.row<T>(op.rows.i32()[s]), static_cast<size_t>(op.hidden.cols) * sizeof(T));
    multiply(Products<T, float>{op.hidden_rows.row<T>(0), op.hidden_rows.row_stride, op.rows.rows, op.hidden.cols, op.weight.row<T>(0),
                                op.weight.row_stride, nullptr, op.logits.f32(), op.logits.row_stride},
             op.logits.cols, context);
  });
}

}  // namespace limo::LIMO_ISA
