#include <utility>

#include "cpu/amx.h"
#include "cpu/gemm.h"

// The micro-kernel and the loops around it: rows of A times a packed block of B on one thread, register tile by register tile.
namespace limo::LIMO_ISA {
namespace {

// Rows of A that go through all panels of a packed block before the next rows do.
constexpr int64_t kRowBlock = 96;

// Steps of k between prefetches. With AVX-512 each k has 24 multiply-adds, which hide its prefetches. With AVX2 there are 12 on vectors
// half as wide: a prefetch at every k took a quarter of the time, and the hardware prefetcher brings the panels.
#if defined(__AVX512F__)
constexpr int64_t kPrefetchEvery = 1;
#else
constexpr int64_t kPrefetchEvery = 16;
#endif

// One tile's part of a product's prefetch: kPrefetchRows rows, `step` bytes of each per k.
constexpr int64_t kPrefetchRows = 4;
struct TilePrefetch {
  const char* first;
  int64_t stride, step;
};

// Epilogue for one vector of a tile: adds bias and addend and stores n lanes, all of them if kWhole.
template <bool kWhole, class U, class Out>
LIMO_INLINE void finish(const PackedProduct<U, Out>& p, Vec sum, int64_t row, int64_t column, int64_t n) {
  const auto part = [&](const auto* from) { return kWhole ? load(from) : load_partial(from, n); };
  if (p.bias) sum += part(p.bias + column);
  if (p.addend) sum += part(p.addend + row * p.addend_stride + column);
  Out* const to = p.c + row * p.c_stride + column;
  if constexpr (kWhole) store(to, sum);
  else store_partial(to, sum, n);
}

// The same epilogue for a tile of sums in memory, [rows][width], of which `columns` columns are stored.
template <class U, class Out>
void finish_rows(const PackedProduct<U, Out>& p, const float* sums, int64_t width, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i, sums += width)
    for_lanes(
        columns, [&](int64_t j) { finish<true>(p, load(sums + j), row + i, column + j, kLanes); },
        [&](int64_t j, int64_t n) { finish<false>(p, load(sums + j), row + i, column + j, n); });
}

// Prefetches for units [k, end) of a tile at `a`: the next tile's part of A, its part of the product's prefetch, and with AVX-512 the panel.
template <class U, int Rows, int Vectors>
LIMO_INLINE void prefetch_for_tile(const U* a, int64_t row_stride, int64_t k_stride, const U* panel, int64_t k, int64_t end, TilePrefetch prefetch) {
  const U* const next = a + Rows * row_stride;
  if constexpr (kPrefetchEvery == 1) {
    // One prefetch per k. A contiguous in k: eight rows in turn, eight units of each. A transposed: the rows of each k.
    const int64_t turn = k_stride == 1 ? 7 : 0;
    __builtin_prefetch(next + (k & turn) * row_stride + (k & ~turn) * k_stride);
    __builtin_prefetch(prefetch.first + (k & (kPrefetchRows - 1)) * prefetch.stride + (k & -kPrefetchRows) * prefetch.step, 0, 2);
    // The panel is read from L2 once per tile of rows: prefetch it eight k ahead.
    __builtin_prefetch(panel + 8 * Vectors * kLanes);
    if constexpr (Vectors * kLanes > 16) __builtin_prefetch(panel + 8 * Vectors * kLanes + 16);
    if constexpr (Vectors * kLanes > 32) __builtin_prefetch(panel + 8 * Vectors * kLanes + 32);
  } else {
    if (k_stride == 1) {
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) __builtin_prefetch(next + i * row_stride + k);
    } else {
      for (int64_t j = k; j < end; ++j) __builtin_prefetch(next + j * k_stride);
    }
    for (int i = 0; i < kPrefetchRows; ++i)
      for (int64_t byte = k * prefetch.step; byte < end * prefetch.step; byte += 64)
        __builtin_prefetch(prefetch.first + i * prefetch.stride + byte, 0, 2);
  }
}

// Micro-kernel: C[Rows, columns] = A·B over one panel; `columns` ≤ Vectors·kLanes are stored. kPrefetches: with prefetching.
template <bool kPrefetches, class U, class Out, int Rows, int Vectors>
void tile_kernel(const PackedProduct<U, Out>& p, int64_t row, const U* panel, int64_t column, int64_t columns, TilePrefetch prefetch) {
  Vec sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[i][v] = Vec{};
  if constexpr (kPrefetches) {
    // Prefetch the result's cache lines while the products run.
    const Out* const c = p.c + row * p.c_stride + column;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + i * p.c_stride + v * kLanes, 1);
  }

  const U* const first = p.a + row * p.a_row_stride;
  const U* a = first;
  const int64_t row_stride = p.a_row_stride, k_stride = p.a_k_stride;
  for (int64_t k = 0; k < p.k;) {
    const int64_t end = smaller(k + kPrefetchEvery, p.k);
    if constexpr (kPrefetches) prefetch_for_tile<U, Rows, Vectors>(first, row_stride, k_stride, panel, k, end, prefetch);
    for (; k < end; ++k) {
      Vec b[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) b[v] = load_units(panel + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[i][v] = multiply_add(a + i * row_stride, b[v], sum[i][v]);
      a += k_stride;
      panel += Vectors * kLanes;
    }
  }

  if (columns < Vectors * kLanes) {
    float sums[Rows * Vectors * kLanes];
    __builtin_memcpy(sums, sum, sizeof sums);
    return finish_rows(p, sums, Vectors * kLanes, row, Rows, column, columns);
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) finish<true>(p, sum[i][v], row + i, column + v * kLanes, kLanes);
}

template <class U, class Out>
using TileKernel = void (*)(const PackedProduct<U, Out>&, int64_t, const U*, int64_t, int64_t, TilePrefetch);

template <bool kPrefetches, class U, class Out, int Vectors, int... Rows>
LIMO_INLINE TileKernel<U, Out> kernel_of(int64_t rows, std::integer_sequence<int, Rows...>) {
  static constexpr TileKernel<U, Out> kernels[] = {tile_kernel<kPrefetches, U, Out, Rows + 1, Vectors>...};
  return kernels[rows - 1];
}

template <bool kPrefetches, class U, class Out, int Vectors>
void multiply_panel(const PackedProduct<U, Out>& p, int64_t row, int64_t end_row, const U* panel, int64_t column, int64_t columns,
                    int64_t& prefetch_row) {
  while (row < end_row) {
    const bool prefetches = prefetch_row < p.prefetch.rows;
    const Prefetch& u = p.prefetch;
    const TilePrefetch prefetch = prefetches ? TilePrefetch{u.first + prefetch_row * u.stride, u.stride, blocks_of(u.row_bytes, p.k)}
                                             : TilePrefetch{reinterpret_cast<const char*>(panel), 0, 0};
    prefetch_row += kPrefetchRows;
    const int64_t rows = even_piece(end_row - row, Tile<U>::kRows);
    kernel_of<kPrefetches, U, Out, Vectors>(rows, std::make_integer_sequence<int, Tile<U>::kRows>{})(p, row, panel, column, columns, prefetch);
    row += rows;
  }
}

#if defined(__AMX_BF16__)
// Micro-kernel for AMX, of up to RowTiles·16 rows: the tile registers are stored to memory, and the epilogue goes row by row.
template <int RowTiles, int Vectors, class Out>
void amx_tile(const PackedProduct<Pair, Out>& p, int64_t row, int64_t rows, const Pair* panel, int64_t column, int64_t columns) {
  constexpr int64_t kWidth = Vectors * kLanes;
  const Pair* const a = p.a + row * p.a_row_stride;
  const int64_t a_bytes = p.a_row_stride * static_cast<int64_t>(sizeof(Pair));
  _tile_zero(0);
  if constexpr (Vectors > 1) _tile_zero(1);
  if constexpr (RowTiles > 1) _tile_zero(2);
  if constexpr (RowTiles > 1 && Vectors > 1) _tile_zero(3);
  for (int64_t k = 0; k < p.k; k += kAmxUnits, panel += kAmxUnits * kWidth) {
    _tile_loadd(6, panel, kWidth * sizeof(Pair));
    if constexpr (Vectors > 1) _tile_loadd(7, panel + kLanes, kWidth * sizeof(Pair));
    _tile_loadd(4, a + k, a_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Vectors > 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (RowTiles > 1) {
      _tile_loadd(5, a + kAmxRows * p.a_row_stride + k, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (Vectors > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  alignas(64) float sums[RowTiles * kAmxRows][kWidth];
  _tile_stored(0, sums[0], sizeof sums[0]);
  if constexpr (Vectors > 1) _tile_stored(1, sums[0] + kLanes, sizeof sums[0]);
  if constexpr (RowTiles > 1) _tile_stored(2, sums[kAmxRows], sizeof sums[0]);
  if constexpr (RowTiles > 1 && Vectors > 1) _tile_stored(3, sums[kAmxRows] + kLanes, sizeof sums[0]);
  finish_rows(p, sums[0], kWidth, row, rows, column, columns);
}
#endif

template <bool kPrefetches, class U, class Out>
void multiply_rows(const PackedProduct<U, Out>& p, int64_t row, int64_t end_row, int64_t& prefetch_row) {
  const U* packed = p.packed_b;
  for (int64_t column = 0; column < p.n;) {
    const int64_t width = panel_width<U>(p.n - column), vectors = width / kLanes;
    const int64_t columns = smaller(width, p.n - column);
    if (vectors == 1) multiply_panel<kPrefetches, U, Out, 1>(p, row, end_row, packed, column, columns, prefetch_row);
    else if (vectors == 2) multiply_panel<kPrefetches, U, Out, 2>(p, row, end_row, packed, column, columns, prefetch_row);
    else if constexpr (Tile<U>::kVectors > 2) multiply_panel<kPrefetches, U, Out, 3>(p, row, end_row, packed, column, columns, prefetch_row);
    packed += width * p.k;
    column += width;
  }
}

// Loop over blocks of rows of A that stay in L2 from the first panel to the last.
template <class U, class Out>
void multiply_panels(const PackedProduct<U, Out>& p) {
  constexpr int64_t kRows = kRowBlock / Tile<U>::kRows * Tile<U>::kRows;
  int64_t prefetch_row = 0;
  for (int64_t row = 0; row < p.m; row += kRows) {
    const int64_t end = smaller(row + kRows, p.m);
    if (p.is_cached) multiply_rows<false>(p, row, end, prefetch_row);
    else multiply_rows<true>(p, row, end, prefetch_row);
  }
}

#if defined(__AMX_BF16__)
// The same with AMX and no prefetching: the hardware prefetcher suffices.
template <class Out>
void multiply_panels_amx(const PackedProduct<Pair, Out>& p) {
  AmxTiles tiles;
  for (int64_t first = 0; first < p.m; first += kRowBlock) {
    const int64_t end = smaller(first + kRowBlock, p.m);
    const Pair* panel = p.packed_b;
    for (int64_t column = 0; column < p.n;) {
      const int64_t width = panel_width<Pair>(p.n - column), columns = smaller(width, p.n - column);
      for (int64_t row = first; row < end; row += 2 * kAmxRows) {
        const int64_t rows = smaller(2 * kAmxRows, end - row);
        const bool two = rows > kAmxRows;
        tiles.set_rows(two ? kAmxRows : rows, two ? rows - kAmxRows : kAmxRows);
        if (two && width > kLanes) amx_tile<2, 2>(p, row, rows, panel, column, columns);
        else if (two) amx_tile<2, 1>(p, row, rows, panel, column, columns);
        else if (width > kLanes) amx_tile<1, 2>(p, row, rows, panel, column, columns);
        else amx_tile<1, 1>(p, row, rows, panel, column, columns);
      }
      panel += width * p.k;
      column += width;
    }
  }
}
#endif

}  // namespace

void multiply_packed(const PackedProduct<float, float>& p) { multiply_panels(p); }
#if defined(__AMX_BF16__)
void multiply_packed(const PackedProduct<Pair, Bf16>& p) { multiply_panels_amx(p); }
void multiply_packed(const PackedProduct<Pair, float>& p) { multiply_panels_amx(p); }
#else
void multiply_packed(const PackedProduct<Unit<Bf16>, Bf16>& p) { multiply_panels(p); }
#if defined(LIMO_PAIRS)
void multiply_packed(const PackedProduct<Pair, float>& p) { multiply_panels(p); }
#endif
#endif

}  // namespace limo::LIMO_ISA
