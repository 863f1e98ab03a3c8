#include <algorithm>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/linear_decode.h"

namespace limo::cuda {
namespace {

// A block has kWeights rows of the weights, and reads them once for all of its rows of x. Threads take packs of columns, strided by the
// block. Four rows keep 64 bytes a thread in flight, and each number of x that is loaded serves four products.
constexpr int kColumnThreads = 128, kColumnWarps = kColumnThreads / 32;
constexpr int kWeights = 4;
constexpr int kMostRows = 8;

template <class T, class Out>
struct DecodeProducts {
  Out* y;
  const T* x;
  const int32_t* rows;  // row of x for each row of y; null: the same row
  const T *weight, *bias;
  int64_t y_stride, x_stride, weight_stride;
  int row_count, row_groups, columns, weights;
};

// Reduces kCount numbers over the lanes of a warp, each by the same tree whatever kCount is. A lane gets the sum of number lane / (32 /
// kCount). At each step a lane hands half of its numbers to its partner.
template <int kCount>
LIMO_DEVICE float warp_sums(float (&x)[kCount]) {
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int distance = 16, half = kCount / 2; distance > 0; distance /= 2, half /= 2) {
    const bool upper = lane & distance;
    if (half == 0) x[0] += __shfl_xor_sync(0xffffffffu, x[0], distance);
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float given = __shfl_xor_sync(0xffffffffu, upper ? x[i] : x[i + half], distance);
      x[i] = (upper ? x[i + half] : x[i]) + given;
    }
  }
  return x[0];
}

// A product is summed by each thread in the order of its columns, then over the lanes of a warp, then over the warps: the same
// whatever kRows is, which rows are there, and whether they are taken in packs.
template <int kRows, bool kPacks, class T, class Out>
__global__ void __launch_bounds__(kColumnThreads) linear_decode_kernel(DecodeProducts<T, Out> p) {
  LIMO_DYNAMIC_SHARED(shared);
  constexpr int kSums = kWeights * kRows;
  float* const warp_parts = reinterpret_cast<float*>(shared);  // [kColumnWarps, kSums]
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int first_row = block % p.row_groups * kRows, first_weight = block / p.row_groups * kWeights;
  const T *x[kRows], *w[kWeights];
  // Rows beyond the last repeat it; their results are not stored.
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int row = min(first_row + r, p.row_count - 1);
    x[r] = p.x + (p.rows ? p.rows[row] : row) * p.x_stride;
  }
#pragma unroll
  for (int j = 0; j < kWeights; ++j) w[j] = p.weight + min(first_weight + j, p.weights - 1) * p.weight_stride;

  float sum[kSums] = {};
#pragma unroll 2
  for (int first = thread * kPackSize; first < p.columns; first += kColumnThreads * kPackSize) {
    float v[kWeights][kPackSize];
#pragma unroll
    for (int j = 0; j < kWeights; ++j) load_padded<kPackSize, kPacks>(v[j], w[j], first, p.columns);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float u[kPackSize];
      load_padded<kPackSize, kPacks>(u, x[r], first, p.columns);
#pragma unroll
      for (int j = 0; j < kWeights; ++j)
#pragma unroll
        for (int i = 0; i < kPackSize; ++i) sum[j * kRows + r] = fmaf(u[i], v[j][i], sum[j * kRows + r]);
    }
  }
  const float total = warp_sums(sum);
  constexpr int kLanesOfSum = 32 / kSums;
  if (thread % kLanesOfSum == 0) warp_parts[thread / 32 * kSums + thread % 32 / kLanesOfSum] = total;
  __syncthreads();
  const int row = first_row + thread % kRows, weight = first_weight + thread / kRows;
  if (thread >= kSums || row >= p.row_count || weight >= p.weights) return;
  float all = warp_parts[thread];
#pragma unroll
  for (int warp = 1; warp < kColumnWarps; ++warp) all += warp_parts[warp * kSums + thread];
  narrow(p.y[row * p.y_stride + weight], p.bias ? all + widen(p.bias[weight]) : all);
}

template <int kRows, bool kPacks, class T, class Out>
void multiply_rows(CudaContext& context, DecodeProducts<T, Out> p) {
  p.row_groups = (p.row_count + kRows - 1) / kRows;
  const unsigned blocks = static_cast<unsigned>((p.weights + kWeights - 1) / kWeights) * static_cast<unsigned>(p.row_groups);
  launch(linear_decode_kernel<kRows, kPacks, T, Out>, dim3(blocks), dim3(kColumnThreads), kColumnWarps * kWeights * kRows * sizeof(float),
         context.stream(), p);
}

template <bool kPacks, class T, class Out>
void multiply_some(CudaContext& context, const DecodeProducts<T, Out>& p) {
  if (p.row_count <= 1) multiply_rows<1, kPacks>(context, p);
  else if (p.row_count <= 2) multiply_rows<2, kPacks>(context, p);
  else if (p.row_count <= 4) multiply_rows<4, kPacks>(context, p);
  else multiply_rows<kMostRows, kPacks>(context, p);
}

// y = x·weightᵀ + bias, of all rows of x or of some.
template <class T, class Out>
void multiply(CudaContext& context, const Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias, const int32_t* rows) {
  const DecodeProducts<T, Out> p{y.row<Out>(0), x.row<T>(0), rows, weight.row<T>(0), bias.row<T>(0), y.row_stride, x.row_stride, weight.row_stride,
                                 static_cast<int>(y.rows), 1, static_cast<int>(x.cols), static_cast<int>(weight.rows)};
  if (takes_packs(x) && takes_packs(weight)) multiply_some<true>(context, p);
  else multiply_some<false>(context, p);
}

}  // namespace

void run(const LinearDecode& op, CudaContext& context) {
  if (op.y.dtype == DType::kBF16) multiply<Bf16, Bf16>(context, op.y, op.x, op.weight, op.bias, nullptr);
  else multiply<float, float>(context, op.y, op.x, op.weight, op.bias, nullptr);
}

// The kernel gathers rows by itself: hidden_rows is not needed.
void run(const Logits& op, CudaContext& context) {
  if (op.hidden.dtype == DType::kBF16) multiply<Bf16, float>(context, op.logits, op.hidden, op.weight, {}, op.rows.i32());
  else multiply<float, float>(context, op.logits, op.hidden, op.weight, {}, op.rows.i32());
}

}  // namespace limo::cuda
