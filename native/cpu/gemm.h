#pragma once

#include <cstdint>

#include "cpu/context.h"
#include "cpu/tile.h"

// The matrix product of this instruction set: register tiles over B packed into panels, in cache-sized blocks (the scheme of Goto and van
// de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). Accumulators are float32 whatever the factors; each sums over k in
// one order that depends on the shape alone.
namespace limo::LIMO_ISA {

// C[m,n] = Σ_k A(i,k)·B(k,j) + bias[j], or C += where it accumulates, which only float32 does. A and B are given by their
// strides in elements, one of each is 1.
template <class In, class Out>
struct Gemm {
  int64_t m, n, k;
  const In* a;
  int64_t a_row_stride, a_k_stride;
  const In* b;
  int64_t b_k_stride, b_col_stride;
  Out* c;
  int64_t c_stride;
  bool accumulate = false;
  const Out* bias = nullptr;  // [n], may be null; only when not accumulating
};

// Runs over all threads of the context.
void gemm(const Gemm<float, float>& product, const CpuContext& context);
void gemm(const Gemm<Bf16, float>& product, const CpuContext& context);
void gemm(const Gemm<Bf16, Bf16>& product, const CpuContext& context);

// The parts below run on the calling thread, for operations with a blocking of their own (attention).

// Units that a packed block of B with n columns and `units` rows needs.
LIMO_INLINE int64_t packed_size(int64_t n, int64_t units) { return (n + kLanes - 1) / kLanes * kLanes * units; }

// A block of A whose rows are contiguous in k; strides in units.
template <class U>
struct BlockOfA {
  const U* a;
  int64_t row_stride, k_stride;
};

// Whether A can be used without packing. float32: always. bfloat16 as pairs: if k is a multiple of 2 · kUnitsTogether and row_stride is
// even, so that no pair, and no row of units of one instruction, straddles the end of a row.
template <class T>
LIMO_INLINE bool reads_in_place(int64_t row_stride, int64_t k) {
  if constexpr (std::is_same_v<Unit<T>, Pair>) return k % (2 * kUnitsTogether<Pair>) == 0 && row_stride % 2 == 0;
  else return std::is_same_v<Unit<T>, T>;
}

// Packs rows of k numbers as units, [rows][units_of(k)].
void copy_rows(float* to, const float* from, int64_t row_stride, int64_t rows, int64_t k);
void copy_rows(Unit<Bf16>* to, const Bf16* from, int64_t row_stride, int64_t rows, int64_t k);

// Packs rows of a transposed A, contiguous across rows and not along k, as units: [units_of(k)][rows], or [rows][units_of(k)] for AMX,
// which multiplies only rows that are contiguous in k.
void copy_transposed(float* to, const float* from, int64_t k_stride, int64_t rows, int64_t k);
void copy_transposed(Unit<Bf16>* to, const Bf16* from, int64_t k_stride, int64_t rows, int64_t k);
#if defined(__AMX_BF16__)
// The same from pairs, [pairs of k][rows], with room for whole vectors of rows; strides in pairs.
void copy_transposed(Pair* to, const Pair* from, int64_t k_stride, int64_t rows, int64_t k);
#endif

// A without packing where reads_in_place allows it, else packed into `room`.
template <class T>
LIMO_INLINE BlockOfA<Unit<T>> read_rows(const T* from, int64_t row_stride, int64_t rows, int64_t k, Unit<T>* room) {
  using U = Unit<T>;
  if (reads_in_place<T>(row_stride, k))
    return {reinterpret_cast<const U*>(from), row_stride * static_cast<int64_t>(sizeof(T)) / static_cast<int64_t>(sizeof(U)), 1};
  copy_rows(room, from, row_stride, rows, k);
  return {room, units_of<U>(k), 1};
}

// The block of A that copy_transposed has packed.
template <class U>
LIMO_INLINE BlockOfA<U> transposed_rows(const U* room, int64_t rows, int64_t k) {
  if constexpr (kUnitsTogether<U> > 1) return {room, units_of<U>(k), 1};
  else return {room, 1, rows};
}

// Packs B(k,j) = b[k·k_stride + j·col_stride] into panels of whole vectors, each [units][width], padded with zeros.
void pack_b(float* packed, const float* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n);
void pack_b(Unit<Bf16>* packed, const Bf16* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n);

// Memory to prefetch while a product runs, because it is read next: some rows with every tile. A prefetch may touch lines a little outside
// of it, which is harmless.
struct Prefetch {
  const char* first = nullptr;
  int64_t stride = 0, rows = 0, row_bytes = 0;  // bytes
};

// C[m,n] = Σ_k A(i,k)·B(k,j) + addend + bias, with k and the strides of A in units. The addend may be C itself. AMX needs rows of A
// that are contiguous in k.
template <class U, class Out>
struct PackedProduct {
  int64_t m, n, k;
  const U* a;
  int64_t a_row_stride, a_k_stride;
  const U* packed_b;
  Out* c;
  int64_t c_stride;
  const float* addend = nullptr;  // [m, n] float32, may be null
  int64_t addend_stride = 0;
  const Out* bias = nullptr;  // [n], may be null
  Prefetch prefetch = {};
  bool is_cached = false;  // all operands are in L1 or L2 already: prefetching would only cost time
};
void multiply_packed(const PackedProduct<float, float>& product);
void multiply_packed(const PackedProduct<Unit<Bf16>, Bf16>& product);
#if defined(LIMO_PAIRS)
void multiply_packed(const PackedProduct<Pair, float>& product);
#endif

}  // namespace limo::LIMO_ISA
