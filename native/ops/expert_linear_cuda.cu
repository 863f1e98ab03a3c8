#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/expert_linear.h"

namespace limo::cuda {
namespace {

constexpr int kWarps = kThreads / 32;

template <class T>
struct ExpertRows {
  T* y;
  const T *x, *weight;
  const int32_t* experts;
  const float* weights;
  int64_t y_stride, x_stride, experts_stride, weights_stride, columns, outputs, chosen, count;
};

// A warp has one number of one token.
template <class T>
__global__ void __launch_bounds__(kThreads) expert_linear_kernel(ExpertRows<T> r) {
  const int64_t t = blockIdx.x, n = static_cast<int64_t>(blockIdx.y) * kWarps + threadIdx.x / 32;
  if (n >= r.outputs) return;
  const uint32_t lane = threadIdx.x % 32;
  float sum = 0;
  for (int64_t k = 0; k < r.chosen; ++k) {
    const int32_t expert = r.experts[t * r.experts_stride + k];
    if (expert < 0 || expert >= r.count) continue;
    const T* const weight = r.weight + (expert * r.outputs + n) * r.columns;
    float dot = 0;
    for (int64_t c = lane; c < r.columns; c += 32) dot += widen(weight[c]) * widen(r.x[t * r.x_stride + c]);
    sum += r.weights[t * r.weights_stride + k] * warp_sum(dot);
  }
  if (lane == 0) narrow(r.y[t * r.y_stride + n], sum);
}

}  // namespace

template <>
size_t check_limits(const ExpertLinear& op, const CudaContext&) {
  constexpr int64_t kMostOutputs = 65535 * int64_t{kWarps};  // of a grid's second dimension
  if (op.y.cols > kMostOutputs)
    throw Error(ErrorCode::kProgramInvalid, "expected at most " + std::to_string(kMostOutputs) + " outputs but received " + std::to_string(op.y.cols));
  return 0;
}

void run(const ExpertLinear& op, CudaContext& context) {
  const auto multiply = [&](auto element) {
    using T = decltype(element);
    const dim3 grid(static_cast<unsigned>(op.x.rows), static_cast<unsigned>((op.y.cols + kWarps - 1) / kWarps));
    launch(expert_linear_kernel<T>, grid, dim3(kThreads), 0, context.stream(),
           ExpertRows<T>{op.y.row<T>(0), op.x.row<T>(0), op.weight.row<T>(0), op.experts.i32(), op.weights.f32(), op.y.row_stride, op.x.row_stride,
                         op.experts.row_stride, op.weights.row_stride, op.x.cols, op.y.cols, op.experts.cols, op.weight.planes});
  };
  if (op.y.dtype == DType::kBF16) multiply(Bf16{});
  else multiply(float{});
}

}  // namespace limo::cuda
