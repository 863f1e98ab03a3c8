#include "cpu/gemm.h"

namespace limo::LIMO_ISA {
namespace {

// Register tile: kTileRows × kTileVectors accumulators, a vector of B for each column and one broadcast of A must fit in
// the registers: 8·3 + 3 of 32 (AVX-512), 6·2 + 2 + 1 of 16 (AVX2), 4·2 + 2 + 1 of 16.
#if defined(__AVX512F__)
constexpr int kTileRows = 8, kTileVectors = 3;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTileVectors = 2;
#else
constexpr int kTileRows = 4, kTileVectors = 2;
#endif
constexpr int64_t kTileCols = kTileVectors * kLanes;

// Cache blocks: a packed block of B (kBlockK × kBlockN floats, 430 KB) stays in L2 while the rows of A stream past it.
constexpr int64_t kBlockK = 448;
constexpr int64_t kBlockN = 240;
// Rows of A that share one packed block of B; packing costs about 1/kBlockM of the product.
constexpr int64_t kBlockM = 576;
// Columns up to which a task may take all of them.
constexpr int64_t kNarrow = 1536;
// Rows of A further apart than this (bytes) touch a page each: they are copied together first.
constexpr int64_t kFarRowBytes = 4096;

static_assert((kBlockK * kBlockN + kBlockK * kBlockM) * 4 <= kScratchForProducts);

LIMO_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LIMO_INLINE int64_t blocks_of(int64_t total, int64_t block) { return (total + block - 1) / block; }

// C[Rows, columns] (+)= A·B over one panel; `columns` ≤ Vectors·kLanes of it are stored.
template <int Rows, int Vectors>
void tile_kernel(const PackedProduct& p, const float* a, const float* panel, float* c, int64_t columns, const float* bias) {
  Vec sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[i][v] = Vec{};

  const int64_t row_stride = p.a_row_stride, k_stride = p.a_k_stride;
  for (int64_t k = 0; k < p.k; ++k) {
    Vec b[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) b[v] = load(panel + v * kLanes);
    // The panel is read once per tile of rows, from L2: fetch it eight rows ahead.
    __builtin_prefetch(panel + 8 * Vectors * kLanes);
    if constexpr (Vectors * kLanes > 16) __builtin_prefetch(panel + 8 * Vectors * kLanes + 16);
    if constexpr (Vectors * kLanes > 32) __builtin_prefetch(panel + 8 * Vectors * kLanes + 32);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Vec x = splat(a[i * row_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[i][v] = x * b[v] + sum[i][v];
    }
    a += k_stride;
    panel += Vectors * kLanes;
  }

  for (int v = 0; v < Vectors; ++v) {
    const int64_t left = columns - v * kLanes;
    const int64_t width = smaller(left, kLanes);
    const bool whole = width == kLanes;
    const Vec offset = !bias ? Vec{} : whole ? load(bias + v * kLanes) : load_partial(bias + v * kLanes, width);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      float* out = c + i * p.c_stride + v * kLanes;
      Vec value = sum[i][v] + offset;
      if (whole) {
        if (p.accumulate) value += load(out);
        store(out, value);
      } else {
        if (p.accumulate) value += load_partial(out, width);
        store_partial(out, value, width);
      }
    }
  }
}

template <int Vectors>
void multiply_panel(const PackedProduct& p, const float* panel, float* c, int64_t columns, const float* bias) {
  int64_t i = 0;
  for (; i + kTileRows <= p.m; i += kTileRows)
    tile_kernel<kTileRows, Vectors>(p, p.a + i * p.a_row_stride, panel, c + i * p.c_stride, columns, bias);
  const float* a = p.a + i * p.a_row_stride;
  float* out = c + i * p.c_stride;
  switch (p.m - i) {
    case 1: return tile_kernel<1, Vectors>(p, a, panel, out, columns, bias);
    case 2: return tile_kernel<2, Vectors>(p, a, panel, out, columns, bias);
    case 3: return tile_kernel<3, Vectors>(p, a, panel, out, columns, bias);
#if defined(__AVX2__)
    case 4: return tile_kernel<4, Vectors>(p, a, panel, out, columns, bias);
    case 5: return tile_kernel<5, Vectors>(p, a, panel, out, columns, bias);
#endif
#if defined(__AVX512F__)
    case 6: return tile_kernel<6, Vectors>(p, a, panel, out, columns, bias);
    case 7: return tile_kernel<7, Vectors>(p, a, panel, out, columns, bias);
#endif
    default: return;
  }
}

// to[c][r] = from[r][c] for kLanes rows and columns.
LIMO_INLINE void transpose_square(float* to, int64_t to_stride, const float* from, int64_t from_stride) {
#if defined(__AVX512F__)
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(from + i * from_stride);
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
    _mm512_storeu_ps(to + j * to_stride, _mm512_shuffle_f32x4(low_even, high_even, 0x88));
    _mm512_storeu_ps(to + (4 + j) * to_stride, _mm512_shuffle_f32x4(low_odd, high_odd, 0x88));
    _mm512_storeu_ps(to + (8 + j) * to_stride, _mm512_shuffle_f32x4(low_even, high_even, 0xdd));
    _mm512_storeu_ps(to + (12 + j) * to_stride, _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd));
  }
#else
  for (int c = 0; c < kLanes; ++c) {
    Vec column;
    for (int r = 0; r < kLanes; ++r) column[r] = from[r * from_stride + c];
    store(to + c * to_stride, column);
  }
#endif
}

// One vector's width of a panel from a B whose columns are contiguous in k.
void pack_transposed(float* panel, int64_t width, const float* b, int64_t col_stride, int64_t k, int64_t columns) {
  int64_t p = 0;
  if (columns == kLanes)
    for (; p + kLanes <= k; p += kLanes) transpose_square(panel + p * width, width, b + p, col_stride);
  for (; p < k; ++p)
    for (int64_t j = 0; j < kLanes; ++j) panel[p * width + j] = j < columns ? b[j * col_stride + p] : 0.0f;
}

// One vector's width of a panel from a B whose rows are contiguous.
void pack_rows(float* panel, int64_t width, const float* b, int64_t k_stride, int64_t k, int64_t columns) {
  if (columns == kLanes)
    for (int64_t p = 0; p < k; ++p) store(panel + p * width, load(b + p * k_stride));
  else
    for (int64_t p = 0; p < k; ++p) store(panel + p * width, load_partial(b + p * k_stride, columns));
}

LIMO_INLINE bool copies_a(const Gemm& g) { return g.a_k_stride != 1 || g.a_row_stride * 4 > kFarRowBytes; }

// A in a form the kernel reads well: as it lies, or copied into `packed` when its rows are far apart or it is transposed.
struct BlockOfA {
  const float* a;
  int64_t row_stride, k_stride;
};

BlockOfA prepare_a(const Gemm& g, float* packed, int64_t row, int64_t rows, int64_t k_start, int64_t k) {
  const float* a = g.a + row * g.a_row_stride + k_start * g.a_k_stride;
  if (!copies_a(g)) return {a, g.a_row_stride, 1};
  if (g.a_k_stride == 1) {
    for (int64_t i = 0; i < rows; ++i) __builtin_memcpy(packed + i * k, a + i * g.a_row_stride, static_cast<size_t>(k) * 4);
    return {packed, k, 1};
  }
  for (int64_t p = 0; p < k; ++p)
    __builtin_memcpy(packed + p * rows, a + p * g.a_k_stride, static_cast<size_t>(rows) * 4);
  return {packed, 1, rows};
}

// Vectors of the next panel when so many are left: as many panels as it takes, of like width, because a panel of one
// vector is bound by loads (64 columns are 2 + 2 vectors rather than 3 + 1).
LIMO_INLINE int64_t next_panel(int64_t vectors) { return blocks_of(vectors, blocks_of(vectors, kTileVectors)); }

// Few large tasks would leave threads idle at the end: with less than four for each thread, their number is made a
// multiple of the threads, as long as a task keeps kFewestRows rows to share a packing of B.
int64_t rows_of_a_task(int64_t m, int64_t n_blocks, int64_t threads) {
  constexpr int64_t kFewestRows = 12 * kTileRows;
  int64_t blocks = blocks_of(m, kBlockM);
  while (blocks * n_blocks < 4 * threads && blocks * n_blocks % threads != 0 && m / (blocks + 1) >= kFewestRows) ++blocks;
  return blocks_of(blocks_of(m, blocks), kTileRows) * kTileRows;
}

// How a product is cut into tasks: each has `rows` rows and `cols` columns, the columns in blocks of `col_block`.
struct Tasks {
  int64_t rows, cols, col_block, row_tasks, col_tasks;
};

Tasks share_out(const Gemm& g, int64_t threads) {
  const int64_t col_block = blocks_of(blocks_of(g.n, blocks_of(g.n, kBlockN)), kTileCols) * kTileCols;
  // Where A has to be copied, a task takes all columns of a narrow product, so that a block of A is copied once.
  if (copies_a(g) && g.n > col_block && g.n <= kNarrow) {
    const int64_t rows = rows_of_a_task(g.m, 1, threads), row_tasks = blocks_of(g.m, rows);
    if (row_tasks >= threads) return {rows, g.n, col_block, row_tasks, 1};
  }
  const int64_t col_tasks = blocks_of(g.n, col_block);
  const int64_t rows = rows_of_a_task(g.m, col_tasks, threads);
  return {rows, col_block, col_block, blocks_of(g.m, rows), col_tasks};
}

}  // namespace

void pack_b(float* packed, const float* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n) {
  for (int64_t panel = 0; panel < n;) {
    const int64_t width = next_panel(blocks_of(n - panel, kLanes)) * kLanes;
    for (int64_t v = 0; v < width; v += kLanes) {
      const int64_t here = smaller(kLanes, n - panel - v);
      if (col_stride == 1) pack_rows(packed + v, width, b + panel + v, k_stride, k, here);
      else pack_transposed(packed + v, width, b + (panel + v) * col_stride, col_stride, k, here);
    }
    packed += width * k;
    panel += width;
  }
}

void multiply_packed(const PackedProduct& p) {
  const float* packed = p.packed_b;
  for (int64_t panel = 0; panel < p.n;) {
    const int64_t vectors = next_panel(blocks_of(p.n - panel, kLanes)), width = vectors * kLanes;
    const int64_t columns = smaller(width, p.n - panel);
    const float* bias = p.bias ? p.bias + panel : nullptr;
    if (vectors == 1) multiply_panel<1>(p, packed, p.c + panel, columns, bias);
    else if (vectors == 2) multiply_panel<2>(p, packed, p.c + panel, columns, bias);
#if defined(__AVX512F__)
    else multiply_panel<3>(p, packed, p.c + panel, columns, bias);
#endif
    packed += width * p.k;
    panel += width;
  }
}

void gemm(const Gemm& g, const CpuContext& context) {
  if (g.m == 0 || g.n == 0) return;
  // The blocks of k depend on the shape alone, since they fix the order of every sum. How rows and columns are shared out
  // may depend on the threads: each element is summed in the same way wherever it falls.
  const int64_t k_blocks = g.k == 0 ? 1 : blocks_of(g.k, kBlockK);
  const int64_t k_block = blocks_of(g.k, k_blocks);
  const Tasks tasks = share_out(g, context.pool.threads());

  parallel_for(context.pool, tasks.row_tasks * tasks.col_tasks, [&](int64_t task, int thread) {
    // Tasks that follow each other share the block of the larger operand, which then comes from a cache.
    const int64_t row = (g.m > g.n ? task / tasks.col_tasks : task % tasks.row_tasks) * tasks.rows;
    const int64_t first_col = (g.m > g.n ? task % tasks.col_tasks : task / tasks.row_tasks) * tasks.cols;
    const int64_t rows = smaller(tasks.rows, g.m - row), end_col = smaller(first_col + tasks.cols, g.n);
    float* packed_b = context.thread_scratch(thread);
    float* packed_a = packed_b + kBlockK * kBlockN;
    for (int64_t block = 0; block < k_blocks; ++block) {
      const int64_t k_start = block * k_block, k = smaller(k_block, g.k - k_start);
      const BlockOfA a = prepare_a(g, packed_a, row, rows, k_start, k);
      for (int64_t col = first_col; col < end_col; col += tasks.col_block) {
        const int64_t cols = smaller(tasks.col_block, end_col - col);
        pack_b(packed_b, g.b + k_start * g.b_k_stride + col * g.b_col_stride, g.b_k_stride, g.b_col_stride, k, cols);
        multiply_packed({.m = rows, .n = cols, .k = k, .a = a.a, .a_row_stride = a.row_stride, .a_k_stride = a.k_stride,
                         .packed_b = packed_b, .c = g.c + row * g.c_stride + col, .c_stride = g.c_stride,
                         .accumulate = g.accumulate || block > 0, .bias = g.bias && block == 0 ? g.bias + col : nullptr});
      }
    }
  });
}

}  // namespace limo::LIMO_ISA
