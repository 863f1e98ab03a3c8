#pragma once

#include <cstdint>

#include "cpu/context.h"
#include "cpu/simd.h"

// The float32 matrix product of this instruction set: register tiles of kTileRows × (kTileVectors vectors), over B packed
// into panels, in cache-sized blocks (the scheme of Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008). Each element of C is summed over k in one order that depends on the shape alone.
namespace limo::LIMO_ISA {

// C[m,n] (= or +=) Σ_k A(i,k)·B(k,j) (+ bias[j]); A and B are given by their strides in elements, one of each is 1.
struct Gemm {
  int64_t m, n, k;
  const float* a;
  int64_t a_row_stride, a_k_stride;
  const float* b;
  int64_t b_k_stride, b_col_stride;
  float* c;
  int64_t c_stride;
  bool accumulate = false;
  const float* bias = nullptr;  // [n], added once; only when not accumulating
};

// Runs over all threads of the context.
void gemm(const Gemm& product, const CpuContext& context);

// The parts below run on the calling thread, for operations with a blocking of their own (attention).

// Floats that a packed block of B with n columns and k rows needs.
LIMO_INLINE int64_t packed_size(int64_t n, int64_t k) { return (n + kLanes - 1) / kLanes * kLanes * k; }

// Packs B(k,j) = b[k·k_stride + j·col_stride] into panels of up to kTileVectors vectors, each [k][width], padded with zeros.
void pack_b(float* packed, const float* b, int64_t k_stride, int64_t col_stride, int64_t k, int64_t n);

struct PackedProduct {
  int64_t m, n, k;
  const float* a;
  int64_t a_row_stride, a_k_stride;
  const float* packed_b;
  float* c;
  int64_t c_stride;
  bool accumulate;
  const float* bias = nullptr;
};
void multiply_packed(const PackedProduct& product);

}  // namespace limo::LIMO_ISA
