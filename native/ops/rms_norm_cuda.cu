#include <algorithm>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/rms_norm.h"

namespace limo::cuda {
namespace {

// A block has one row and reads it twice, the second time from L1.
template <class T, int N>
struct NormRows {
  T *out, *sum;
  float* rstd;
  const T *x, *residual, *weight;
  int64_t out_stride, sum_stride, x_stride, residual_stride;
  uint32_t columns;
  float eps;

  // Input of the norm: x, or x + residual rounded as it is stored.
  LIMO_DEVICE void take(float (&v)[N], int64_t row, uint32_t column) const {
    load<N>(v, x + row * x_stride + column);
    if (!residual) return;
    float r[N];
    load<N>(r, residual + row * residual_stride + column);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      T rounded;
      narrow(rounded, v[j] + r[j]);
      v[j] = widen(rounded);
    }
  }
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) rms_norm_kernel(NormRows<T, N> rows) {
  LIMO_DYNAMIC_SHARED(shared);
  const int64_t row = blockIdx.x;
  float squares = 0;
  for (uint32_t column = threadIdx.x * N; column < rows.columns; column += blockDim.x * N) {
    float v[N];
    rows.take(v, row, column);
#pragma unroll
    for (int j = 0; j < N; ++j) squares += v[j] * v[j];
  }
  const float mean = block_sum(squares, reinterpret_cast<float*>(shared)) / static_cast<float>(rows.columns);
  const float rstd = 1.0f / sqrtf(mean + rows.eps);
  if (threadIdx.x == 0) rows.rstd[row] = rstd;
  for (uint32_t column = threadIdx.x * N; column < rows.columns; column += blockDim.x * N) {
    float v[N], w[N];
    rows.take(v, row, column);
    // Stored here and not before: `sum` may overwrite x or the residual.
    if (rows.sum) store<N>(rows.sum + row * rows.sum_stride + column, v);
    load<N>(w, rows.weight + column);
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] = v[j] * rstd * w[j];
    store<N>(rows.out + row * rows.out_stride + column, v);
  }
}

template <class T, int N>
struct NormRowsBackward {
  T* d_x;
  float* partial;  // [blocks, columns]: what the rows of a block add to the gradient of the weight; null: the weight has none
  const T *d_out, *d_sum, *x, *weight;
  const float* rstd;
  int64_t d_x_stride, d_out_stride, d_sum_stride, x_stride, rows;
  uint32_t columns, rows_per_block;
};

// A block goes through some rows. Each thread keeps the sums of its columns in its own part of shared memory, without barriers.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) rms_norm_backward_kernel(NormRowsBackward<T, N> r) {
  LIMO_DYNAMIC_SHARED(shared);
  float* const warps = reinterpret_cast<float*>(shared);
  float* const sums = warps + kThreads / 32;
  for (uint32_t column = threadIdx.x * N; column < r.columns; column += blockDim.x * N)
#pragma unroll
    for (int j = 0; j < N; ++j) sums[column + j] = 0;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * r.rows_per_block;
  const int64_t last = first + r.rows_per_block < r.rows ? first + r.rows_per_block : r.rows;
  for (int64_t row = first; row < last; ++row) {
    const float rstd = r.rstd[row];
    float dot = 0;
    for (uint32_t column = threadIdx.x * N; column < r.columns; column += blockDim.x * N) {
      float d[N], x[N], w[N];
      load<N>(d, r.d_out + row * r.d_out_stride + column);
      load<N>(x, r.x + row * r.x_stride + column);
      load<N>(w, r.weight + column);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        dot += d[j] * w[j] * x[j];
        if (r.partial) sums[column + j] += d[j] * (x[j] * rstd);
      }
    }
    if (!r.d_x) continue;
    dot = block_sum(dot, warps);
    const float pull = rstd * rstd * rstd * dot / static_cast<float>(r.columns);
    for (uint32_t column = threadIdx.x * N; column < r.columns; column += blockDim.x * N) {
      float d[N], x[N], w[N];
      load<N>(d, r.d_out + row * r.d_out_stride + column);
      load<N>(x, r.x + row * r.x_stride + column);
      load<N>(w, r.weight + column);
#pragma unroll
      for (int j = 0; j < N; ++j) d[j] = d[j] * w[j] * rstd - x[j] * pull;
      if (r.d_sum) {
        load<N>(x, r.d_sum + row * r.d_sum_stride + column);
#pragma unroll
        for (int j = 0; j < N; ++j) d[j] += x[j];
      }
      store<N>(r.d_x + row * r.d_x_stride + column, d);
    }
  }
  if (!r.partial) return;
  for (uint32_t column = threadIdx.x * N; column < r.columns; column += blockDim.x * N)
#pragma unroll
    for (int j = 0; j < N; ++j) r.partial[static_cast<int64_t>(blockIdx.x) * r.columns + column + j] = sums[column + j];
}

// No more threads than a row has packs.
unsigned threads_for(int64_t packs) { return static_cast<unsigned>(std::clamp<int64_t>((packs + 31) / 32 * 32, 32, kThreads)); }

// The blocks depend on the number of rows alone, not on the device: then the order of sums is the same on all.
constexpr int64_t kMostBlocks = 512, kFewestRows = 8;

size_t backward_shared_bytes(int64_t columns) { return (kThreads / 32 + static_cast<size_t>(columns)) * sizeof(float); }

}  // namespace

template <>
size_t check_limits(const RmsNormBackward& op, const CudaContext& context) {
  const int64_t most = std::min<int64_t>(kPartialBytes / sizeof(float) / kMostBlocks, static_cast<int64_t>(context.shared_bytes() / sizeof(float)) - kThreads / 32);
  if (op.x.cols > most)
    throw Error(ErrorCode::kProgramInvalid, "expected at most " + std::to_string(most) + " columns but received " + std::to_string(op.x.cols));
  return 0;
}

void run(const RmsNorm& op, CudaContext& context) {
  const bool packs_fit = takes_packs(op.out) && takes_packs(op.sum) && takes_packs(op.x) && takes_packs(op.residual) &&
                         vector_takes_packs(op.weight);
  with_pack(op.x.dtype, packs_fit, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const NormRows<T, N> rows{op.out.row<T>(0), op.sum.row<T>(0), op.rstd.f32(), op.x.row<T>(0), op.residual.row<T>(0), op.weight.row<T>(0),
                              op.out.row_stride, op.sum.row_stride, op.x.row_stride, op.residual.row_stride, static_cast<uint32_t>(op.x.cols),
                              static_cast<float>(op.eps)};
    launch(rms_norm_kernel<T, N>, dim3(static_cast<unsigned>(op.x.rows)), dim3(threads_for(op.x.cols / N)), kThreads / 32 * sizeof(float),
           context.stream(), rows);
  });
}

void run(const RmsNormBackward& op, CudaContext& context) {
  const bool packs_fit = takes_packs(op.d_x) && takes_packs(op.d_out) && takes_packs(op.d_sum) && takes_packs(op.x) &&
                         vector_takes_packs(op.weight);
  const int64_t rows_per_block = std::max(kFewestRows, (op.x.rows + kMostBlocks - 1) / kMostBlocks);
  const int64_t blocks = (op.x.rows + rows_per_block - 1) / rows_per_block;
  float* partial = op.d_weight ? context.partial_sums<float>(blocks * op.x.cols) : nullptr;
  with_pack(op.x.dtype, packs_fit, [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const NormRowsBackward<T, N> rows{op.d_x.row<T>(0), partial, op.d_out.row<T>(0), op.d_sum.row<T>(0), op.x.row<T>(0), op.weight.row<T>(0),
                                      op.rstd.f32(), op.d_x.row_stride, op.d_out.row_stride, op.d_sum.row_stride, op.x.row_stride,
                                      op.x.rows, static_cast<uint32_t>(op.x.cols), static_cast<uint32_t>(rows_per_block)};
    launch(rms_norm_backward_kernel<T, N>, dim3(static_cast<unsigned>(blocks)), dim3(threads_for(op.x.cols / N)),
           backward_shared_bytes(op.x.cols), context.stream(), rows);
  });
  if (op.d_weight) add_partial_sums(context, op.d_weight.f32(), partial, blocks, op.x.cols);
}

}  // namespace limo::cuda
