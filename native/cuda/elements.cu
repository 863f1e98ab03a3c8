#include "cuda/elements.h"

namespace limo::cuda {
namespace {

// A block sums 32 columns: each warp every kWarps-th part, then the first warp the partial sums of all warps, in order.
constexpr int kWarps = kThreads / 32;

__global__ void __launch_bounds__(kThreads) add_partial_sums_kernel(float* to, const float* partial, int64_t parts, int64_t columns) {
  LIMO_DYNAMIC_SHARED(shared);
  float* const sums = reinterpret_cast<float*>(shared);
  const int64_t column = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x % 32;
  const int warp = static_cast<int>(threadIdx.x / 32);
  float sum = 0;
  if (column < columns) {
#pragma unroll 8
    for (int64_t part = warp; part < parts; part += kWarps) sum += partial[part * columns + column];
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (warp > 0 || column >= columns) return;
  for (int other = 1; other < kWarps; ++other) sum += sums[other * 32 + threadIdx.x];
  to[column] += sum;
}

}  // namespace

void add_partial_sums(const CudaContext& context, float* to, const float* partial, int64_t parts, int64_t columns) {
  launch(add_partial_sums_kernel, dim3(static_cast<unsigned>((columns + 31) / 32)), dim3(kThreads), kThreads * sizeof(float), context.stream(), to,
         partial, parts, columns);
}

}  // namespace limo::cuda
