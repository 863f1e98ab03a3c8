#include <algorithm>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/head_norm.h"

namespace limo::cuda {
namespace {

constexpr int kWarps = kThreads / 32;

// A warp has one head of one row.
template <class T, int N>
struct NormHeads {
  T* out;
  float* rstd;
  const T *x, *weight;
  int64_t out_stride, rstd_stride, x_stride, rows;
  uint32_t heads, dim;
  float eps;
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) head_norm_kernel(NormHeads<T, N> r) {
  const int64_t head = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const uint32_t lane = threadIdx.x % 32;
  if (head >= r.rows * r.heads) return;
  const int64_t row = head / r.heads, h = head % r.heads;
  const T* const x = r.x + row * r.x_stride + h * r.dim;
  float squares = 0;
  for (uint32_t i = lane * N; i < r.dim; i += 32 * N) {
    float v[N];
    load<N>(v, x + i);
#pragma unroll
    for (int j = 0; j < N; ++j) squares += v[j] * v[j];
  }
  const float rstd = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(r.dim) + r.eps);
  if (lane == 0) r.rstd[row * r.rstd_stride + h] = rstd;
  for (uint32_t i = lane * N; i < r.dim; i += 32 * N) {
    float v[N], w[N];
    load<N>(v, x + i);
    load<N>(w, r.weight + i);
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] = v[j] * rstd * w[j];
    store<N>(r.out + row * r.out_stride + h * r.dim + i, v);
  }
}

template <class T, int N>
struct NormHeadsBackward {
  T* d_x;
  float* partial;  // [blocks, dim]; null: the weight has no gradient
  const T *d_out, *x, *weight;
  const float* rstd;
  int64_t d_x_stride, d_out_stride, x_stride, rstd_stride, rows;
  uint32_t heads, dim, rows_per_block;
};

// A block has some rows; each of its warps takes every kWarps-th head and keeps sums of its own, which the block adds up at the end.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) head_norm_backward_kernel(NormHeadsBackward<T, N> r) {
  LIMO_DYNAMIC_SHARED(shared);
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float* const all_sums = reinterpret_cast<float*>(shared);
  float* const sums = all_sums + warp * r.dim;
  for (uint32_t i = lane * N; i < r.dim; i += 32 * N)
#pragma unroll
    for (int j = 0; j < N; ++j) sums[i + j] = 0;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * r.rows_per_block;
  const int64_t last_row = first_row + r.rows_per_block < r.rows ? first_row + r.rows_per_block : r.rows;
  for (int64_t head = first_row * r.heads + warp; head < last_row * r.heads; head += kWarps) {
    const int64_t row = head / r.heads, h = head % r.heads;
    const T* const x = r.x + row * r.x_stride + h * r.dim;
    const T* const d_out = r.d_out + row * r.d_out_stride + h * r.dim;
    const float rstd = r.rstd[row * r.rstd_stride + h];
    float dot = 0;
    for (uint32_t i = lane * N; i < r.dim; i += 32 * N) {
      float d[N], v[N], w[N];
      load<N>(d, d_out + i);
      load<N>(v, x + i);
      load<N>(w, r.weight + i);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        dot += d[j] * w[j] * v[j];
        if (r.partial) sums[i + j] += d[j] * (v[j] * rstd);
      }
    }
    if (!r.d_x) continue;
    const float pull = rstd * rstd * rstd * warp_sum(dot) / static_cast<float>(r.dim);
    for (uint32_t i = lane * N; i < r.dim; i += 32 * N) {
      float d[N], v[N], w[N];
      load<N>(d, d_out + i);
      load<N>(v, x + i);
      load<N>(w, r.weight + i);
#pragma unroll
      for (int j = 0; j < N; ++j) d[j] = d[j] * w[j] * rstd - v[j] * pull;
      store<N>(r.d_x + row * r.d_x_stride + h * r.dim + i, d);
    }
  }
  if (!r.partial) return;
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < r.dim; i += kThreads) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += all_sums[w * r.dim + i];
    r.partial[static_cast<int64_t>(blockIdx.x) * r.dim + i] = sum;
  }
}

constexpr int64_t kMostBlocks = 1024;

}  // namespace

template <>
size_t check_limits(const HeadNormBackward& op, const CudaContext& context) {
  const int64_t most = std::min<int64_t>(kPartialBytes / sizeof(float) / kMostBlocks, static_cast<int64_t>(context.shared_bytes() / sizeof(float)) / kWarps);
  if (op.weight.rows > most)
    throw Error(ErrorCode::kProgramInvalid, "expected heads of at most " + std::to_string(most) + " channels but received " + std::to_string(op.weight.rows));
  return 0;
}

void run(const HeadNorm& op, CudaContext& context) {
  const int64_t dim = op.weight.rows, heads = op.rstd.cols;
  const bool packs_fit = takes_packs(op.out) && takes_packs(op.x) && vector_takes_packs(op.weight);
  with_pack(op.x.dtype, packs_fit, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size == 1 ? 1 : 4;  // a head of 128 channels then keeps all lanes busy
    const NormHeads<T, N> rows{op.out.row<T>(0), op.rstd.f32(), op.x.row<T>(0), op.weight.row<T>(0), op.out.row_stride, op.rstd.row_stride,
                               op.x.row_stride, op.x.rows, static_cast<uint32_t>(heads), static_cast<uint32_t>(dim), static_cast<float>(op.eps)};
    launch(head_norm_kernel<T, N>, dim3(static_cast<unsigned>((op.x.rows * heads + kWarps - 1) / kWarps)), dim3(kThreads), 0, context.stream(), rows);
  });
}

void run(const HeadNormBackward& op, CudaContext& context) {
  const int64_t dim = op.weight.rows, heads = op.rstd.cols;
  const bool packs_fit = takes_packs(op.d_x) && takes_packs(op.d_out) && takes_packs(op.x) && vector_takes_packs(op.weight);
  const int64_t rows_per_block = (op.x.rows + kMostBlocks - 1) / kMostBlocks;
  const int64_t blocks = rows_per_block == 0 ? 0 : (op.x.rows + rows_per_block - 1) / rows_per_block;
  float* partial = op.d_weight ? context.partial_sums<float>(blocks * dim) : nullptr;
  with_pack(op.x.dtype, packs_fit, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size == 1 ? 1 : 4;
    const NormHeadsBackward<T, N> rows{op.d_x.row<T>(0), partial, op.d_out.row<T>(0), op.x.row<T>(0), op.weight.row<T>(0), op.rstd.f32(),
                                       op.d_x.row_stride, op.d_out.row_stride, op.x.row_stride, op.rstd.row_stride, op.x.rows,
                                       static_cast<uint32_t>(heads), static_cast<uint32_t>(dim), static_cast<uint32_t>(rows_per_block)};
    launch(head_norm_backward_kernel<T, N>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), static_cast<size_t>(kWarps * dim) * sizeof(float),
           context.stream(), rows);
  });
  if (op.d_weight) add_partial_sums(context, op.d_weight.f32(), partial, blocks, dim);
}

}  // namespace limo::cuda
