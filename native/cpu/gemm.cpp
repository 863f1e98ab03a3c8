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

// Cache blocks in units of 4 bytes: a packed block of B (kBlockK × about kBlockN, 430 KB) stays in L2 while the rows of A
// stream past it.
constexpr int64_t kBlockK = 448;
constexpr int64_t kBlockN = 240;
// A block's columns are whole tiles.
template <class U>
constexpr int64_t kBlockCols = (kBlockN + kTileCols<U> - 1) / kTileCols<U> * kTileCols<U>;
constexpr int64_t kMostBlockCols = 256;
// Rows of A that share one packed block of B; packing costs about 1/kBlockM of the product.
constexpr int64_t kBlockM = 576;
// Columns up to which a task may take all of them.
constexpr int64_t kNarrow = 1152;
// Rows of A further apart than this (bytes) touch a page each: they are copied together first.
constexpr int64_t kFarRowBytes = 4096;

// A thread's working memory: packed B, copied A, and the sums of a task whose result is bfloat16 until its last block of k.
constexpr int64_t kPackedB = kBlockK * kMostBlockCols;
constexpr int64_t kCopiedA = kBlockK * kBlockM;
constexpr int64_t kPartialSums = kBlockM * kNarrow;
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

// C[Rows, columns] = A·B over one panel; `columns` ≤ Vectors·kLanes of it are stored.
template <class U, class Out, int Rows, int Vectors>
void tile_kernel(const PackedProduct<U, Out>& p, int64_t row, const U* panel, int64_t column, int64_t columns) {
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
  for (int64_t k = 0; k < p.k; ++k) {
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

  for (int v = 0; v < Vectors; ++v) {
    const int64_t width = smaller(columns - v * kLanes, kLanes);
    const bool whole = width == kLanes;
    const Out* bias = p.bias + column + v * kLanes;
    const Vec offset = !p.bias ? Vec{} : whole ? load(bias) : load_partial(bias, width);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      Out* out = c + i * p.c_stride + v * kLanes;
      const float* addend = p.addend + (row + i) * p.addend_stride + column + v * kLanes;
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

template <class U, class Out>
using TileKernel = void (*)(const PackedProduct<U, Out>&, int64_t, const U*, int64_t, int64_t);

template <class U, class Out, int Vectors, int... Rows>
LIMO_INLINE TileKernel<U, Out> kernel_of(int64_t rows, std::integer_sequence<int, Rows...>) {
  static constexpr TileKernel<U, Out> kernels[] = {tile_kernel<U, Out, Rows + 1, Vectors>...};
  return kernels[rows - 1];
}

template <class U, class Out, int Vectors>
void multiply_panel(const PackedProduct<U, Out>& p, const U* panel, int64_t column, int64_t columns) {
  for (int64_t row = 0; row < p.m;) {
    const int64_t rows = even_piece(p.m - row, Tile<U>::kRows);
    kernel_of<U, Out, Vectors>(rows, std::make_integer_sequence<int, Tile<U>::kRows>{})(p, row, panel, column, columns);
    row += rows;
  }
}

template <class U, class Out>
void multiply_panels(const PackedProduct<U, Out>& p) {
  const U* packed = p.packed_b;
  for (int64_t column = 0; column < p.n;) {
    // A panel of one vector is bound by loads: 64 columns are 2 + 2 vectors rather than 3 + 1.
    const int64_t vectors = even_piece(blocks_of(p.n - column, kLanes), Tile<U>::kVectors), width = vectors * kLanes;
    const int64_t columns = smaller(width, p.n - column);
    if (vectors == 1) multiply_panel<U, Out, 1>(p, packed, column, columns);
    else if (vectors == 2) multiply_panel<U, Out, 2>(p, packed, column, columns);
    else if constexpr (Tile<U>::kVectors > 2) multiply_panel<U, Out, 3>(p, packed, column, columns);
    packed += width * p.k;
    column += width;
  }
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

// One vector's width of a panel from a B whose rows are contiguous.
template <class U, class In>
void pack_rows(U* panel, int64_t width, const In* b, int64_t k_stride, int64_t k, int64_t columns) {
  for (int64_t p = 0; p < k; p += kPerUnit<U>) {
    const In* from = b + p * k_stride;
    store_units(panel + p / kPerUnit<U> * width, units_across_k(from, p + 1 < k ? from + k_stride : nullptr, columns, panel));
  }
}

template <class U, class In>
void pack_panels(U* packed, const In* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n) {
  for (int64_t panel = 0; panel < n;) {
    const int64_t width = even_piece(blocks_of(n - panel, kLanes), Tile<U>::kVectors) * kLanes;
    for (int64_t v = 0; v < width; v += kLanes) {
      const int64_t here = smaller(kLanes, n - panel - v);
      if (col_stride == 1) pack_rows(packed + v, width, b + panel + v, k_stride, k, here);
      else pack_transposed(packed + v, width, b + (panel + v) * col_stride, col_stride, k, here);
    }
    packed += width * units_of<U>(k);
    panel += width;
  }
}

template <class U, class In>
void copy_rows_as_units(U* to, const In* from, int64_t row_stride, int64_t rows, int64_t k) {
  const int64_t units = units_of<U>(k);
  for (int64_t i = 0; i < rows; ++i, from += row_stride, to += units) {
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

// Few large tasks would leave threads idle at the end: with less than four for each thread, their number is made a
// multiple of the threads, as long as a task keeps `fewest` rows to share a packing of B.
int64_t rows_of_a_task(int64_t m, int64_t n_blocks, int64_t threads, int64_t tile_rows) {
  const int64_t fewest = 12 * tile_rows;
  const int64_t most = kBlockM / tile_rows * tile_rows;
  int64_t blocks = blocks_of(m, most);
  while (blocks * n_blocks < 4 * threads && blocks * n_blocks % threads != 0 && m / (blocks + 1) >= fewest) ++blocks;
  return blocks_of(blocks_of(m, blocks), tile_rows) * tile_rows;
}

// How a product is cut into tasks: each has `rows` rows and `cols` columns, the columns in blocks of `col_block`.
struct Tasks {
  int64_t rows, cols, col_block, row_tasks, col_tasks;
};

template <class In, class Out>
Tasks share_out(const Gemm<In, Out>& g, int64_t threads) {
  using U = Unit<In>;
  const int64_t col_block = blocks_of(even_piece(g.n, kBlockCols<U>), kTileCols<U>) * kTileCols<U>;
  // Where A has to be copied, a task takes all columns of a narrow product, so that a block of A is copied once.
  if (copies_a(g) && g.n > col_block && g.n <= kNarrow) {
    const int64_t rows = rows_of_a_task(g.m, 1, threads, Tile<U>::kRows), row_tasks = blocks_of(g.m, rows);
    if (row_tasks >= threads) return {rows, g.n, col_block, row_tasks, 1};
  }
  const int64_t col_tasks = blocks_of(g.n, col_block);
  const int64_t rows = rows_of_a_task(g.m, col_tasks, threads, Tile<U>::kRows);
  return {rows, col_block, col_block, blocks_of(g.m, rows), col_tasks};
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
  const int64_t k_block = blocks_of(units, k_blocks) * kPerUnit<U>;
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
        const Out* const bias = g.bias ? g.bias + col : nullptr;
        Out* const c = g.c + row * g.c_stride + col;
        const auto multiply = [&](auto* to, int64_t stride, const float* addend, int64_t addend_stride, auto* offset) {
          multiply_packed(PackedProduct<U, std::remove_reference_t<decltype(*to)>>{
              .m = rows, .n = cols, .k = units_of<U>(k), .a = a.a, .a_row_stride = a.row_stride, .a_k_stride = a.k_stride,
              .packed_b = packed_b, .c = to, .c_stride = stride, .addend = addend, .addend_stride = addend_stride, .bias = offset});
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
