#include "cpu/gemm.h"

// Packing of B into panels and of A into rows of units.
namespace limo::LIMO_ISA {
namespace {

// A vector of units from numbers that are contiguous in k.
LIMO_INLINE Vec units_along_k(const float* from, float*) { return load(from); }
LIMO_INLINE Vec units_along_k(const Bf16* from, float*) { return load(from); }
// A vector of units from numbers that are contiguous across k, `next` being those of the next k.
LIMO_INLINE Vec units_across_k(const float* from, const float*, int64_t n, float*) { return n == kLanes ? load(from) : load_partial(from, n); }
LIMO_INLINE Vec units_across_k(const Bf16* from, const Bf16*, int64_t n, float*) { return n == kLanes ? load(from) : load_partial(from, n); }
#if defined(LIMO_PAIRS)
LIMO_INLINE Vec units_along_k(const Bf16* from, Pair*) { return load_pairs(from); }
LIMO_INLINE Vec units_across_k(const Bf16* from, const Bf16* next, int64_t n, Pair*) {
  return interleave(load_bits_up_to(from, n), next ? load_bits_up_to(next, n) : VecHalf{});
}
#endif
LIMO_INLINE void set_unit(float* unit, const float* first, const float*) { *unit = first ? *first : 0; }
LIMO_INLINE void set_unit(float* unit, const Bf16* first, const Bf16*) {
  const uint32_t bits = first ? static_cast<uint32_t>(first->bits) << 16 : 0;
  __builtin_memcpy(unit, &bits, 4);
}
LIMO_INLINE void set_unit(Pair* unit, const Bf16* first, const Bf16* second) {
  *unit = {first ? *first : Bf16{0}, second ? *second : Bf16{0}};
}

// Lane i of vector j becomes lane j of vector i.
#if defined(__AVX512F__)
LIMO_INLINE void transpose(Vec (&r)[16]) {
  Vec t[16];
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
    const Vec low_even = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), low_odd = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
    const Vec high_even = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88), high_odd = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
    r[j] = _mm512_shuffle_f32x4(low_even, high_even, 0x88);
    r[4 + j] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    r[8 + j] = _mm512_shuffle_f32x4(low_even, high_even, 0xdd);
    r[12 + j] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
  }
}
#elif defined(__AVX2__)
LIMO_INLINE void transpose(Vec (&r)[8]) {
  Vec t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  // r[4i + j] holds, in its two halves, columns j and 4 + j of rows 4i … 4i + 3.
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Vec low = r[j], high = r[4 + j];
    r[j] = _mm256_permute2f128_ps(low, high, 0x20);
    r[4 + j] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}
#elif defined(LIMO_NEON)
LIMO_INLINE void transpose(Vec (&r)[4]) {
  const float32x4x2_t low = vtrnq_f32(r[0], r[1]), high = vtrnq_f32(r[2], r[3]);
  const auto halves = [](Vec a, Vec b, Vec& even, Vec& odd) {
    const float64x2_t x = vreinterpretq_f64_f32(a), y = vreinterpretq_f64_f32(b);
    even = vreinterpretq_f32_f64(vtrn1q_f64(x, y));
    odd = vreinterpretq_f32_f64(vtrn2q_f64(x, y));
  };
  halves(low.val[0], high.val[0], r[0], r[2]);
  halves(low.val[1], high.val[1], r[1], r[3]);
}
#endif

// to[u][r] = the unit u of row r of `from`, for kLanes units of `count` ≤ kLanes rows; 0 for the others.
template <class U, class In>
LIMO_INLINE void transpose_square(U* to, int64_t to_stride, const In* from, int64_t from_stride, int64_t count) {
#if defined(__AVX2__) || defined(LIMO_NEON)
  Vec rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) rows[i] = i < count ? units_along_k(from + i * from_stride, to) : Vec{};
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store_units(to + i * to_stride, rows[i]);
#else
  for (int c = 0; c < kLanes; ++c)
    for (int r = 0; r < kLanes; ++r) set_unit(to + c * to_stride + r, r < count ? from + r * from_stride + c : nullptr, nullptr);
#endif
}

// One vector's width of a panel from a B whose columns are contiguous in k.
template <class U, class In>
void pack_transposed(U* panel, int64_t width, const In* b, int64_t col_stride, int64_t k, int64_t columns) {
  int64_t p = 0;
  for (; p + kLanes * kPerUnit<U> <= k; p += kLanes * kPerUnit<U>) {
    if (columns == kLanes) transpose_square(panel + p / kPerUnit<U> * width, width, b + p, col_stride, kLanes);
    else transpose_square(panel + p / kPerUnit<U> * width, width, b + p, col_stride, columns);
  }
  for (; p < units_of<U>(k) * kPerUnit<U>; p += kPerUnit<U>)
    for (int64_t j = 0; j < kLanes; ++j) {
      const In* from = j < columns && p < k ? b + j * col_stride + p : nullptr;
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
    while (panel < n && count + Tile<U>::kVectors <= kMostVectors) {
      const int64_t width = panel_width<U>(n - panel);
      for (int64_t v = 0; v < width; v += kLanes) vectors[count++] = {packed + v, width, panel + v, smaller(kLanes, n - panel - v)};
      packed += width * units_of<U>(k);
      panel += width;
    }
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
    for (int64_t unit = blocks_of(k, kPerUnit<U>); unit < units_of<U>(k); ++unit)
      for (int64_t v = 0; v < count; ++v) store_units(vectors[v].to + unit * vectors[v].width, Vec{});
  }
}

template <class U, class In>
void pack_panels(U* packed, const In* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n) {
  if (col_stride == 1) pack_panels_by_rows(packed, b, k_stride, k, n);
  else pack_panels_transposed(packed, b, col_stride, k, n);
}

// The hardware prefetcher does not follow strided rows: prefetch the next one.
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
      const size_t bytes = static_cast<size_t>(k) * sizeof(In);
      __builtin_memcpy(to, from, bytes);
      __builtin_memset(reinterpret_cast<char*>(to) + bytes, 0, static_cast<size_t>(units) * sizeof(U) - bytes);
    } else {
      for_lanes(
          k, [&](int64_t p) { store(to + p, load(from + p)); },
          [&](int64_t p, int64_t n) { store_partial(to + p, load_partial(from + p, n), n); });
    }
  }
}

#if defined(__AMX_BF16__)
// to[r][u] = the pair of numbers 2u and 2u + 1 of each row, in squares; pair(u, r, n) is that of the n ≤ kLanes rows from r on.
template <class PairAt>
LIMO_INLINE void transpose_pairs(Pair* to, int64_t rows, int64_t k, const PairAt& pair_at) {
  const int64_t pairs = blocks_of(k, 2), units = units_of<Pair>(k);
  for (int64_t r = 0; r < rows; r += kLanes) {
    const int64_t n = smaller(kLanes, rows - r);
    for (int64_t u = 0; u < units; u += kLanes) {
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) square[i] = u + i < pairs ? pair_at(u + i, r, n) : Vec{};
      transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i)
        if (i < n) store_units(to + (r + i) * units + u, square[i]);
    }
  }
}

void copy_transposed_as_units(Pair* to, const Bf16* from, int64_t k_stride, int64_t rows, int64_t k) {
  transpose_pairs(to, rows, k, [&](int64_t u, int64_t r, int64_t n) __attribute__((always_inline)) {
    const Bf16* const first = from + 2 * u * k_stride + r;
    return units_across_k(first, 2 * u + 1 < k ? first + k_stride : nullptr, n, to);
  });
}
#endif

template <class U, class In>
void copy_transposed_as_units(U* to, const In* from, int64_t k_stride, int64_t rows, int64_t k) {
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

void copy_transposed(float* to, const float* from, int64_t k_stride, int64_t rows, int64_t k) {
  copy_transposed_as_units(to, from, k_stride, rows, k);
}
void copy_transposed(Unit<Bf16>* to, const Bf16* from, int64_t k_stride, int64_t rows, int64_t k) {
  copy_transposed_as_units(to, from, k_stride, rows, k);
}

#if defined(__AMX_BF16__)
void copy_transposed(Pair* to, const Pair* from, int64_t k_stride, int64_t rows, int64_t k) {
  transpose_pairs(to, rows, k, [&](int64_t u, int64_t r, int64_t) __attribute__((always_inline)) { return load_units(from + u * k_stride + r); });
}
#endif

}  // namespace limo::LIMO_ISA
