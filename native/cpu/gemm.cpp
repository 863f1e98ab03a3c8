#include "cpu/gemm.h"

#include <utility>

namespace limo::LIMO_ISA {
namespace {

// Register tile: kRows × kVectors accumulators; a vector of B for each column and one broadcast of A must fit in the
// registers beside them: 8·3 + 3 + 1 of 32 (AVX-512), 6·2 + 2 + 1 of 16 (AVX2), 4·2 + 2 + 1 of 16. Products of pairs have
// twice the arithmetic for the same loads: 14·2 + 2 of 32, A from memory.
template <class U>
struct Tile {
#if defined(__AVX512F__)
  static constexpr int kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
  static constexpr int kRows = 6, kVectors = 2;
#else
  static constexpr int kRows = 4, kVectors = 2;
#endif
};
template <>
struct Tile<Pair> {
  static constexpr int kRows = 14, kVectors = 2;
};
template <class U>
constexpr int64_t kTileCols = Tile<U>::kVectors * kLanes;

// Cache blocks in units of 4 bytes: a packed block of B (kBlockK × about kBlockN, half a megabyte) stays in L2 while the rows of A
// stream past it.
constexpr int64_t kBlockK = 512;
constexpr int64_t kBlockN = 240;
// Rows of A that are multiplied with all of a packed block before the next ones.
constexpr int64_t kRowsTogether = 96;
// A block's columns are whole tiles.
template <class U>
constexpr int64_t kBlockCols = (kBlockN + kTileCols<U> - 1) / kTileCols<U> * kTileCols<U>;
constexpr int64_t kMostBlockCols = 256;
// Rows of A that share one packed block of B; packing costs about 1/kBlockM of the product.
constexpr int64_t kBlockM = 768;
// Columns that a task takes where A has to be copied, so that a block of A is copied once for all of them.
constexpr int64_t kManyCols = 1152;
// Rows of A further apart than this (bytes) touch a page each: they are copied together first.
constexpr int64_t kFarRowBytes = 1 << 30;

// A thread's working memory: packed B, copied A, and the sums of a task whose result is bfloat16 until its last block of k.
constexpr int64_t kPackedB = kBlockK * kMostBlockCols;
constexpr int64_t kCopiedA = kBlockK * kBlockM;
constexpr int64_t kPartialSums = kBlockM * kManyCols;
static_assert(kBlockCols<float> <= kMostBlockCols && kBlockCols<Pair> <= kMostBlockCols);
static_assert((kPackedB + kCopiedA + kPartialSums) * 4 <= kScratchForProducts);

LIMO_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LIMO_INLINE int64_t blocks_of(int64_t total, int64_t block) { return (total + block - 1) / block; }
// The size of the next piece when `left` is cut into as few pieces of at most `most` as it takes, all of like size.
LIMO_INLINE int64_t even_piece(int64_t left, int64_t most) { return blocks_of(left, blocks_of(left, most)); }

// What a register holds for one vector of units.
LIMO_INLINE Vec load_units(const float* p) { return load(p); }
LIMO_INLINE Vec multiply_add(const float* a, Vec b, Vec sum) { return splat(*a) * b + sum; }
#if defined(__AVX512BF16__)
LIMO_INLINE Vec load_units(const Pair* p) { return _mm512_loadu_ps(p); }
LIMO_INLINE Vec multiply_add(const Pair* a, Vec b, Vec sum) {
  int32_t pair;
  __builtin_memcpy(&pair, a, 4);
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)b);
}
#endif

// What a tile fetches while it runs: kAheadRows rows of upcoming memory, 4 bytes of each for every k.
constexpr int64_t kAheadRows = 4;
struct Ahead {
  const char* first;
  int64_t stride;
};

// Adds what is to be added to a tile's sums and stores its first `columns`: all of them if kWhole.
template <bool kWhole, class U, class Out, int Rows, int Vectors>
LIMO_INLINE void finish_tile(const PackedProduct<U, Out>& p, const Vec (&sum)[Rows][Vectors], int64_t row, int64_t column, int64_t columns) {
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const int64_t first = column + v * kLanes, width = smaller(columns - v * kLanes, kLanes);
    const bool whole = kWhole || width == kLanes;
    const Vec offset = !p.bias ? Vec{} : whole ? load(p.bias + first) : load_partial(p.bias + first, width);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      Out* const out = p.c + (row + i) * p.c_stride + first;
      const float* const addend = p.addend + (row + i) * p.addend_stride + first;
      Vec value = sum[i][v] + offset;
      if (whole) {
        if (p.addend) value += load(addend);
        store(out, value);
      } else {
        if (p.addend) value += load_partial(addend, width);
        store_partial(out, value, width);
      }
    }
  }
}

// C[Rows, columns] = A·B over one panel; `columns` ≤ Vectors·kLanes of it are stored.
template <class U, class Out, int Rows, int Vectors>
void tile_kernel(const PackedProduct<U, Out>& p, int64_t row, const U* panel, int64_t column, int64_t columns, Ahead ahead) {
  Vec sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[i][v] = Vec{};
  // The result's lines come from memory while the products run.
  Out* const c = p.c + row * p.c_stride + column;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + i * p.c_stride + v * kLanes, 1);

  const U* a = p.a + row * p.a_row_stride;
  const int64_t row_stride = p.a_row_stride, k_stride = p.a_k_stride;
  // The next tile's part of A: row after row of eight units where rows are contiguous, or the rows of each k.
  const U* const next = a + Rows * row_stride;
  const int64_t turn = k_stride == 1 ? 7 : 0;
  for (int64_t k = 0; k < p.k; ++k) {
    __builtin_prefetch(next + (k & turn) * row_stride + (k & ~turn) * k_stride);
    __builtin_prefetch(ahead.first + (k & (kAheadRows - 1)) * ahead.stride + (k & -kAheadRows) * 4, 0, 2);
    Vec b[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) b[v] = load_units(panel + v * kLanes);
    // The panel is read once per tile of rows, from L2: fetch it eight rows ahead.
    __builtin_prefetch(panel + 8 * Vectors * kLanes);
    if constexpr (Vectors * kLanes > 16) __builtin_prefetch(panel + 8 * Vectors * kLanes + 16);
    if constexpr (Vectors * kLanes > 32) __builtin_prefetch(panel + 8 * Vectors * kLanes + 32);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[i][v] = multiply_add(a + i * row_stride, b[v], sum[i][v]);
    a += k_stride;
    panel += Vectors * kLanes;
  }

  if (columns == Vectors * kLanes) finish_tile<true>(p, sum, row, column, columns);
  else finish_tile<false>(p, sum, row, column, columns);
}

template <class U, class Out>
using TileKernel = void (*)(const PackedProduct<U, Out>&, int64_t, const U*, int64_t, int64_t, Ahead);

template <class U, class Out, int Vectors, int... Rows>
LIMO_INLINE TileKernel<U, Out> kernel_of(int64_t rows, std::integer_sequence<int, Rows...>) {
  static constexpr TileKernel<U, Out> kernels[] = {tile_kernel<U, Out, Rows + 1, Vectors>...};
  return kernels[rows - 1];
}

template <class U, class Out, int Vectors>
void multiply_panel(const PackedProduct<U, Out>& p, int64_t row, int64_t end_row, const U* panel, int64_t column, int64_t columns,
                    int64_t& ahead_row) {
  while (row < end_row) {
    const bool fetches = ahead_row < p.upcoming.rows;
    const Ahead ahead = fetches ? Ahead{p.upcoming.first + ahead_row * p.upcoming.stride, p.upcoming.stride} : Ahead{reinterpret_cast<const char*>(panel), 0};
    ahead_row += kAheadRows;
    const int64_t rows = even_piece(end_row - row, Tile<U>::kRows);
    kernel_of<U, Out, Vectors>(rows, std::make_integer_sequence<int, Tile<U>::kRows>{})(p, row, panel, column, columns, ahead);
    row += rows;
  }
}

template <class U, class Out>
void multiply_rows(const PackedProduct<U, Out>& p, int64_t row, int64_t end_row, int64_t& ahead_row) {
  const U* packed = p.packed_b;
  for (int64_t column = 0; column < p.n;) {
    // A panel of one vector is bound by loads: 64 columns are 2 + 2 vectors rather than 3 + 1.
    const int64_t vectors = even_piece(blocks_of(p.n - column, kLanes), Tile<U>::kVectors), width = vectors * kLanes;
    const int64_t columns = smaller(width, p.n - column);
    if (vectors == 1) multiply_panel<U, Out, 1>(p, row, end_row, packed, column, columns, ahead_row);
    else if (vectors == 2) multiply_panel<U, Out, 2>(p, row, end_row, packed, column, columns, ahead_row);
    else if constexpr (Tile<U>::kVectors > 2) multiply_panel<U, Out, 3>(p, row, end_row, packed, column, columns, ahead_row);
    packed += width * p.k;
    column += width;
  }
}

// Some rows of A at a time, so that they come from L2 for every panel but the first.
template <class U, class Out>
void multiply_panels(const PackedProduct<U, Out>& p) {
  constexpr int64_t kRows = kRowsTogether / Tile<U>::kRows * Tile<U>::kRows;
  int64_t ahead_row = 0;
  for (int64_t row = 0; row < p.m; row += kRows) multiply_rows(p, row, smaller(row + kRows, p.m), ahead_row);
}

// A vector of units from numbers that are contiguous in k.
LIMO_INLINE Vec units_along_k(const float* from, float*) { return load(from); }
LIMO_INLINE Vec units_along_k(const Bf16* from, float*) { return load(from); }
// A vector of units from numbers that are contiguous in another direction, `next` being those of the next k.
LIMO_INLINE Vec units_across_k(const float* from, const float*, int64_t n, float*) { return n == kLanes ? load(from) : load_partial(from, n); }
LIMO_INLINE Vec units_across_k(const Bf16* from, const Bf16*, int64_t n, float*) { return n == kLanes ? load(from) : load_partial(from, n); }
#if defined(__AVX512BF16__)
LIMO_INLINE Vec units_along_k(const Bf16* from, Pair*) { return _mm512_loadu_ps(from); }
LIMO_INLINE Vec units_across_k(const Bf16* from, const Bf16* next, int64_t n, Pair*) {
  const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1);
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
  const __m512i high = next ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, next)) : __m512i{};
  return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
#endif
// Numbers that a unit holds.
template <class U>
constexpr int64_t kPerUnit = std::is_same_v<U, Pair> ? 2 : 1;

LIMO_INLINE void store_units(float* p, Vec v) { store(p, v); }
#if defined(__AVX512BF16__)
LIMO_INLINE void store_units(Pair* p, Vec v) { _mm512_storeu_ps(p, v); }
#endif

LIMO_INLINE void set_unit(float* unit, const float* first, const float*) { *unit = first ? *first : 0; }
LIMO_INLINE void set_unit(float* unit, const Bf16* first, const Bf16*) {
  const uint32_t bits = first ? static_cast<uint32_t>(first->bits) << 16 : 0;
  __builtin_memcpy(unit, &bits, 4);
}
LIMO_INLINE void set_unit(Pair* unit, const Bf16* first, const Bf16* second) {
  *unit = {first ? *first : Bf16{0}, second ? *second : Bf16{0}};
}

// to[u][r] = the unit u of row r of `from`, for kLanes rows and units.
template <class U, class In>
LIMO_INLINE void transpose_square(U* to, int64_t to_stride, const In* from, int64_t from_stride) {
#if defined(__AVX512F__)
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = units_along_k(from + i * from_stride, to);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(t[4 * i]), b = _mm512_castps_pd(t[4 * i + 1]);
    const __m512d c = _mm512_castps_pd(t[4 * i + 2]), d = _mm512_castps_pd(t[4 * i + 3]);
    r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
  // r[4i + j] holds, in its four quarters q, column 4q + j of rows 4i … 4i + 3: gather the quarters.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 low_even = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), low_odd = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
    const __m512 high_even = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
    const __m512 high_odd = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
    store_units(to + j * to_stride, _mm512_shuffle_f32x4(low_even, high_even, 0x88));
    store_units(to + (4 + j) * to_stride, _mm512_shuffle_f32x4(low_odd, high_odd, 0x88));
    store_units(to + (8 + j) * to_stride, _mm512_shuffle_f32x4(low_even, high_even, 0xdd));
    store_units(to + (12 + j) * to_stride, _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd));
  }
#else
  for (int c = 0; c < kLanes; ++c)
    for (int r = 0; r < kLanes; ++r) set_unit(to + c * to_stride + r, from + r * from_stride + c, nullptr);
#endif
}

// Columns of the next panel when `left` are left, in whole vectors. A panel of one vector is bound by loads: 64 columns are
// 2 + 2 vectors rather than 3 + 1.
template <class U>
LIMO_INLINE int64_t panel_width(int64_t left) {
  return even_piece(blocks_of(left, kLanes), Tile<U>::kVectors) * kLanes;
}

// One vector's width of a panel from a B whose columns are contiguous in k.
template <class U, class In>
void pack_transposed(U* panel, int64_t width, const In* b, int64_t col_stride, int64_t k, int64_t columns) {
  int64_t p = 0;
  if (columns == kLanes)
    for (; p + kLanes * kPerUnit<U> <= k; p += kLanes * kPerUnit<U>)
      transpose_square(panel + p / kPerUnit<U> * width, width, b + p, col_stride);
  for (; p < k; p += kPerUnit<U>)
    for (int64_t j = 0; j < kLanes; ++j) {
      const In* from = j < columns ? b + j * col_stride + p : nullptr;
      set_unit(panel + p / kPerUnit<U> * width + j, from, from && p + 1 < k ? from + 1 : nullptr);
    }
}

template <class U, class In>
void pack_panels_transposed(U* packed, const In* b, int64_t col_stride, int64_t k, int64_t n) {
  for (int64_t panel = 0; panel < n;) {
    const int64_t width = panel_width<U>(n - panel);
    for (int64_t v = 0; v < width; v += kLanes)
      pack_transposed(packed + v, width, b + (panel + v) * col_stride, col_stride, k, smaller(kLanes, n - panel - v));
    packed += width * units_of<U>(k);
    panel += width;
  }
}

// Panels of a B whose rows are contiguous, row by row through all of them: rows may be pages apart.
template <class U, class In>
void pack_panels_by_rows(U* packed, const In* b, int64_t k_stride, int64_t k, int64_t n) {
  constexpr int64_t kMostVectors = 64;
  constexpr int64_t kRowsAhead = 12;
  struct {
    U* to;
    int64_t width, column, columns;
  } vectors[kMostVectors];
  for (int64_t panel = 0; panel < n;) {
    int64_t count = 0;
    for (; panel < n && count + Tile<U>::kVectors <= kMostVectors; packed += panel_width<U>(n - panel) * units_of<U>(k), panel += panel_width<U>(n - panel))
      for (int64_t width = panel_width<U>(n - panel), v = 0; v < width; v += kLanes)
        vectors[count++] = {packed + v, width, panel + v, smaller(kLanes, n - panel - v)};
    for (int64_t p = 0; p < k; p += kPerUnit<U>) {
      const In* first = b + p * k_stride;
      const In* second = p + 1 < k ? first + k_stride : nullptr;
      for (int64_t v = 0; v < count; ++v) {
        const auto& [to, width, column, columns] = vectors[v];
        __builtin_prefetch(first + kRowsAhead * k_stride + column);
        if constexpr (kPerUnit<U> == 2) __builtin_prefetch(first + (kRowsAhead + 1) * k_stride + column);
        store_units(to + p / kPerUnit<U> * width, units_across_k(first + column, second ? second + column : nullptr, columns, packed));
      }
    }
  }
}

template <class U, class In>
void pack_panels(U* packed, const In* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n) {
  if (col_stride == 1) pack_panels_by_rows(packed, b, k_stride, k, n);
  else pack_panels_transposed(packed, b, col_stride, k, n);
}

// Rows that lie apart are no stream to the processor: it has to be told which one comes next.
template <class T>
LIMO_INLINE void prefetch_row(const T* row, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(row + i);
}

template <class U, class In>
void copy_rows_as_units(U* to, const In* from, int64_t row_stride, int64_t rows, int64_t k) {
  const int64_t units = units_of<U>(k);
  for (int64_t i = 0; i < rows; ++i, from += row_stride, to += units) {
    if (i + 2 < rows) prefetch_row(from + 2 * row_stride, k);
    if constexpr (sizeof(In) * kPerUnit<U> == sizeof(U)) {
      __builtin_memcpy(to, from, static_cast<size_t>(k) * sizeof(In));
      if (k % kPerUnit<U> != 0) set_unit(to + units - 1, from + k - 1, static_cast<const In*>(nullptr));
    } else {
      for_lanes(
          k, [&](int64_t p) { store(to + p, load(from + p)); },
          [&](int64_t p, int64_t n) { store_partial(to + p, load_partial(from + p, n), n); });
    }
  }
}

// Copies rows that are contiguous in another direction than k: [units][rows].
template <class U, class In>
void copy_transposed(U* to, const In* from, int64_t k_stride, int64_t rows, int64_t k) {
  for (int64_t p = 0; p < k; p += kPerUnit<U>, to += rows) {
    const In* first = from + p * k_stride;
    const In* second = p + 1 < k ? first + k_stride : nullptr;
    for (int64_t next = p + 2 * kPerUnit<U>; next < p + 3 * kPerUnit<U> && next < k; ++next) prefetch_row(from + next * k_stride, rows);
    int64_t i = 0;
    for (; i + kLanes <= rows; i += kLanes)
      store_units(to + i, units_across_k(first + i, second ? second + i : nullptr, kLanes, to));
    for (; i < rows; ++i) set_unit(to + i, first + i, second ? second + i : nullptr);
  }
}

// Whether A is not read where it lies: transposed, of another type than a unit, or with its rows pages apart.
template <class In, class Out>
LIMO_INLINE bool copies_a(const Gemm<In, Out>& g) {
  return g.a_k_stride != 1 || g.a_row_stride * static_cast<int64_t>(sizeof(In)) > kFarRowBytes || !reads_in_place<In>(g.a_row_stride, g.k);
}

template <class In, class Out, class U = Unit<In>>
BlockOfA<U> prepare_a(const Gemm<In, Out>& g, U* room, int64_t row, int64_t rows, int64_t k_start, int64_t k) {
  const In* a = g.a + row * g.a_row_stride + k_start * g.a_k_stride;
  if (!copies_a(g)) return read_rows(a, g.a_row_stride, rows, k, room);
  if (g.a_k_stride == 1) {
    copy_rows(room, a, g.a_row_stride, rows, k);
    return {room, units_of<U>(k), 1};
  }
  copy_transposed(room, a, g.a_k_stride, rows, k);
  return {room, 1, rows};
}

// Rows of a task so that the threads end together: with few large tasks one of them would wait for another. `cols` is how
// many columns a task takes; it packs B for itself, which costs as much as kPackingRows rows.
template <class U>
int64_t rows_of_a_task(int64_t m, int64_t n, int64_t cols, int64_t threads) {
  constexpr int64_t kTileRows = Tile<U>::kRows, kMostRows = kBlockM / kTileRows * kTileRows, kPackingRows = 24;
  const int64_t col_tasks = blocks_of(n, cols), fewest_blocks = blocks_of(m, kMostRows);
  int64_t best_rows = 0;
  double best_time = 0;
  for (int64_t blocks = fewest_blocks; blocks < fewest_blocks + 4 * threads; ++blocks) {
    const int64_t rows = blocks_of(blocks_of(m, blocks), kTileRows) * kTileRows, row_tasks = blocks_of(m, rows);
    // Tasks of the same columns follow each other: if they share out evenly, the last columns may be fewer.
    const double rounds = row_tasks % threads == 0 ? static_cast<double>(row_tasks / threads) * static_cast<double>(n) / static_cast<double>(cols)
                                                   : static_cast<double>(blocks_of(row_tasks * col_tasks, threads));
    const double time = rounds * static_cast<double>(rows + kPackingRows);
    if (best_rows == 0 || time < best_time) best_rows = rows, best_time = time;
  }
  return best_rows;
}

// How a product is cut into tasks: each has `rows` rows and `cols` columns, the columns in blocks of `col_block`.
struct Tasks {
  int64_t rows, cols, col_block, row_tasks, col_tasks;
};

template <class In, class Out>
Tasks share_out(const Gemm<In, Out>& g, int64_t threads) {
  using U = Unit<In>;
  const int64_t col_block = blocks_of(even_piece(g.n, kBlockCols<U>), kTileCols<U>) * kTileCols<U>;
  const int64_t col_blocks = blocks_of(g.n, col_block);
  int64_t together = copies_a(g) ? smaller(col_blocks, kManyCols / col_block) : 1;
  for (;; --together) {
    const int64_t cols = even_piece(col_blocks, together) * col_block, col_tasks = blocks_of(g.n, cols);
    const int64_t rows = rows_of_a_task<U>(g.m, g.n, cols, threads), row_tasks = blocks_of(g.m, rows);
    if (together == 1 || row_tasks * col_tasks >= threads) return {rows, cols, col_block, row_tasks, col_tasks};
  }
}

// Where a block of B lies.
template <class In, class Out>
Upcoming block_of_b(const Gemm<In, Out>& g, int64_t k_start, int64_t k, int64_t col, int64_t cols) {
  constexpr int64_t kBytes = sizeof(In);
  if (k <= 0) return {};
  const char* const first = reinterpret_cast<const char*>(g.b + k_start * g.b_k_stride + col * g.b_col_stride);
  if (g.b_col_stride == 1) return {first, g.b_k_stride * kBytes, k, cols * kBytes};
  return {first, g.b_col_stride * kBytes, cols, k * kBytes};
}

template <class In, class Out>
void run_gemm(const Gemm<In, Out>& g, const CpuContext& context) {
  using U = Unit<In>;
  constexpr bool kRounds = !std::is_same_v<Out, float>;
  if (g.m == 0 || g.n == 0) return;
  // The blocks of k depend on the shape alone, since they fix the order of every sum. How rows and columns are shared out
  // may depend on the threads: each element is summed in the same way wherever it falls.
  const int64_t units = units_of<U>(g.k);
  const int64_t k_blocks = units == 0 ? 1 : blocks_of(units, kBlockK);
  // Whole squares of a transposition.
  const int64_t k_block = blocks_of(blocks_of(units, k_blocks), 16) * 16 * kPerUnit<U>;
  const Tasks tasks = share_out(g, context.pool.threads());

  parallel_for(context.pool, tasks.row_tasks * tasks.col_tasks, [&](int64_t task, int thread) {
    // Tasks that follow each other share the block of the larger operand, which then comes from a cache.
    const int64_t row = (g.m > g.n ? task / tasks.col_tasks : task % tasks.row_tasks) * tasks.rows;
    const int64_t first_col = (g.m > g.n ? task % tasks.col_tasks : task / tasks.row_tasks) * tasks.cols;
    const int64_t rows = smaller(tasks.rows, g.m - row), end_col = smaller(first_col + tasks.cols, g.n);
    U* const packed_b = reinterpret_cast<U*>(context.thread_scratch(thread));
    U* const packed_a = packed_b + kPackedB;
    // A result in bfloat16 is summed in float32 and rounded once, with the last block of k.
    float* const partial = reinterpret_cast<float*>(packed_a + kCopiedA);
    for (int64_t block = 0; block < k_blocks; ++block) {
      const int64_t k_start = block * k_block, k = smaller(k_block, g.k - k_start);
      const BlockOfA<U> a = prepare_a(g, packed_a, row, rows, k_start, k);
      for (int64_t col = first_col; col < end_col; col += tasks.col_block) {
        const int64_t cols = smaller(tasks.col_block, end_col - col);
        pack_b(packed_b, g.b + k_start * g.b_k_stride + col * g.b_col_stride, g.b_k_stride, g.b_col_stride, k, cols);
        // The next block of B: of the next columns, or the first ones of the next k.
        const bool last_cols = col + tasks.col_block >= end_col;
        const int64_t next_col = last_cols ? first_col : col + tasks.col_block, next_k = last_cols ? k_start + k : k_start;
        const Upcoming upcoming = block_of_b(g, next_k, smaller(k_block, g.k - next_k), next_col, smaller(tasks.col_block, end_col - next_col));
        const Out* const bias = g.bias ? g.bias + col : nullptr;
        Out* const c = g.c + row * g.c_stride + col;
        const auto multiply = [&](auto* to, int64_t stride, const float* addend, int64_t addend_stride, auto* offset) {
          multiply_packed(PackedProduct<U, std::remove_reference_t<decltype(*to)>>{
              .m = rows, .n = cols, .k = units_of<U>(k), .a = a.a, .a_row_stride = a.row_stride, .a_k_stride = a.k_stride,
              .packed_b = packed_b, .c = to, .c_stride = stride, .addend = addend, .addend_stride = addend_stride, .bias = offset,
              .upcoming = upcoming});
        };
        if constexpr (kRounds) {
          float* const sums = partial + (col - first_col);
          const float* const addend = block > 0 ? sums : nullptr;
          if (block + 1 < k_blocks) multiply(sums, tasks.cols, addend, tasks.cols, static_cast<const float*>(nullptr));
          else multiply(c, g.c_stride, addend, tasks.cols, bias);
        } else {
          multiply(c, g.c_stride, g.accumulate || block > 0 ? c : nullptr, g.c_stride, block == 0 ? bias : nullptr);
        }
      }
    }
  });
}

}  // namespace

void pack_b(float* packed, const float* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n) {
  pack_panels(packed, b, k_stride, col_stride, k, n);
}
void pack_b(Unit<Bf16>* packed, const Bf16* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n) {
  pack_panels(packed, b, k_stride, col_stride, k, n);
}

void copy_rows(float* to, const float* from, int64_t row_stride, int64_t rows, int64_t k) {
  copy_rows_as_units(to, from, row_stride, rows, k);
}
void copy_rows(Unit<Bf16>* to, const Bf16* from, int64_t row_stride, int64_t rows, int64_t k) {
  copy_rows_as_units(to, from, row_stride, rows, k);
}

void multiply_packed(const PackedProduct<float, float>& p) { multiply_panels(p); }
void multiply_packed(const PackedProduct<Unit<Bf16>, Bf16>& p) { multiply_panels(p); }
#if defined(__AVX512BF16__)
void multiply_packed(const PackedProduct<Pair, float>& p) { multiply_panels(p); }
#endif

void gemm(const Gemm<float, float>& product, const CpuContext& context) { run_gemm(product, context); }
void gemm(const Gemm<Bf16, float>& product, const CpuContext& context) { run_gemm(product, context); }
void gemm(const Gemm<Bf16, Bf16>& product, const CpuContext& context) { run_gemm(product, context); }

}  // namespace limo::LIMO_ISA
