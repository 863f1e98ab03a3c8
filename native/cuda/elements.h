#pragma once

#include <algorithm>
#include <string>

#include "core/error.h"
#include "core/tensor.h"
#include "cuda/context.h"
#include "cuda/device.h"

// Rows of numbers on the device: vector loads and stores where alignment and strides allow, single numbers elsewhere.
namespace limo::cuda {

// Numbers that a thread takes at once: 16 bytes of bfloat16, twice that of float32.
constexpr int kPackSize = 8;
constexpr int kThreads = 256;

template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T values[N];
};

LIMO_DEVICE float widen(float x) { return x; }
LIMO_DEVICE float widen(Bf16 x) { return to_float(x); }
LIMO_DEVICE void narrow(float& to, float x) { to = x; }
LIMO_DEVICE void narrow(Bf16& to, float x) { to = to_bf16(x); }

template <int N, class T>
LIMO_DEVICE void load(float (&x)[N], const T* from) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = widen(pack.values[i]);
}

template <int N, class T>
LIMO_DEVICE void store(T* to, const float (&x)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) narrow(pack.values[i], x[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// Numbers [first, first + N) of a row of `count`, with zeros after its end; at once where kAtOnce says that rows allow it and are whole
// packs long.
template <int N, bool kAtOnce, class T>
LIMO_DEVICE void load_padded(float (&x)[N], const T* row, int first, int count) {
  if constexpr (kAtOnce) {
    load<N>(x, row + first);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) x[i] = first + i < count ? widen(row[first + i]) : 0.0f;
  }
}

// Whether rows of an operand can be taken in packs. A missing operand can.
inline bool takes_packs(const Tensor& tensor) {
  return !tensor || (reinterpret_cast<uintptr_t>(tensor.data) % 16 == 0 && tensor.cols % kPackSize == 0 && tensor.row_stride % kPackSize == 0);
}
// The same for a vector.
inline bool vector_takes_packs(const Tensor& vector) {
  return !vector || (reinterpret_cast<uintptr_t>(vector.data) % 16 == 0 && vector.rows % kPackSize == 0);
}

// body(element, size) with element float{} or Bf16{} and size an integral constant: the numbers of a pack.
template <class Body>
void with_pack(DType dtype, bool packs, const Body& body) {
  const auto with_size = [&](auto element) {
    if (packs) body(element, std::integral_constant<int, kPackSize>{});
    else body(element, std::integral_constant<int, 1>{});
  };
  if (dtype == DType::kBF16) with_size(Bf16{});
  else with_size(float{});
}

// The most packs that a body numbers with 32 bits.
constexpr int64_t kMostPacks = (int64_t{1} << 31) - 1;

// Throws kProgramInvalid where an operation on rows has more packs of numbers than a body with 32 bits can count.
inline void check_packs(const Tensor& rows, bool packs_fit) {
  const int64_t packs = packs_fit ? rows.cols / kPackSize : rows.cols;
  if (rows.rows > kMostPacks / std::max<int64_t>(1, packs))
    throw Error(ErrorCode::kProgramInvalid, "expected fewer than 2^31 packs of " + std::to_string(packs_fit ? kPackSize : 1) + " numbers but received " +
                                                std::to_string(rows.rows) + " rows of " + std::to_string(packs));
}

// body(i) for every i below count. A body that takes 64 bits may have more than kMostPacks; dividing them is slow, so bodies on rows take 32.
template <class Index, class Body>
__global__ void __launch_bounds__(kThreads) for_each_kernel(Body body, Index count) {
  const Index i = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) body(i);
}

template <class Body>
void for_each(const CudaContext& context, int64_t count, const Body& body) {
  using Index = typename Body::Index;
  if (sizeof(Index) == 4 && count > kMostPacks)
    throw Error(ErrorCode::kInputInvalid, "expected fewer than 2^31 packs of numbers in one operation but received " + std::to_string(count));
  launch(for_each_kernel<Index, Body>, dim3(static_cast<unsigned>((count + kThreads - 1) / kThreads)), dim3(kThreads), 0, context.stream(), body,
         static_cast<Index>(count));
}

// Σ over the threads of a warp, the same in all of them.
LIMO_DEVICE float warp_sum(float x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  return x;
}

LIMO_DEVICE float warp_maximum(float x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lanes));
  return x;
}

// Σ over the threads of a block, the same in all of them; `shared` has room for one number of each warp.
LIMO_DEVICE float block_sum(float x, float* shared) {
  const unsigned warp = threadIdx.x / 32, warps = blockDim.x / 32;
  x = warp_sum(x);
  if (threadIdx.x % 32 == 0) shared[warp] = x;
  __syncthreads();
  float sum = 0;
  for (unsigned w = 0; w < warps; ++w) sum += shared[w];
  // Barrier: no thread may write the next sum before all have read this one.
  __syncthreads();
  return sum;
}

// to[i] += Σ_b partial[b, i], in an order that depends on the number of parts alone.
void add_partial_sums(const CudaContext& context, float* to, const float* partial, int64_t parts, int64_t columns);

}  // namespace limo::cuda
