#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/adamw.h"

namespace limo::cuda {
namespace {

// Partial sums of the norm: each covers N / kPartialSums gradients, whatever the device.
constexpr int64_t kPartialSums = 1024;

// Σ over the threads of a block in double, in the order of lanes and warps.
LIMO_DEVICE double block_sum_in_double(double x, double* shared) {
  shared[threadIdx.x] = x;
  __syncthreads();
  for (unsigned threads = blockDim.x / 2; threads > 0; threads /= 2) {
    if (threadIdx.x < threads) shared[threadIdx.x] += shared[threadIdx.x + threads];
    __syncthreads();
  }
  return shared[0];
}

template <int N>
__global__ void __launch_bounds__(kThreads) grad_norm_partial_kernel(double* partial, const float* gradients, int64_t n, int64_t numbers_per_block) {
  LIMO_DYNAMIC_SHARED(shared);
  const int64_t first = blockIdx.x * numbers_per_block, end = first + numbers_per_block < n ? first + numbers_per_block : n;
  double sum = 0;
  for (int64_t i = first + threadIdx.x * N; i < end; i += kThreads * N) {
    float g[N];
    load<N>(g, gradients + i);
#pragma unroll
    for (int j = 0; j < N; ++j) sum += static_cast<double>(g[j]) * g[j];
  }
  sum = block_sum_in_double(sum, reinterpret_cast<double*>(shared));
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) grad_norm_kernel(float* norm, float* clip_scale, const double* partial, double max_norm) {
  LIMO_DYNAMIC_SHARED(shared);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < kPartialSums; i += kThreads) sum += partial[i];
  sum = block_sum_in_double(sum, reinterpret_cast<double*>(shared));
  if (threadIdx.x != 0) return;
  const double root = sqrt(sum);
  const float written = static_cast<float>(root);  // infinite from 3.4e38 on
  double scale = 1;
  if (max_norm > 0 && root + 1e-6 > max_norm) scale = max_norm / (root + 1e-6);
  norm[0] = written;
  clip_scale[0] = written - written == 0 ? static_cast<float>(scale) : nanf("");
}

template <int N>
struct UpdateParameters {
  using Index = int64_t;
  float *parameters, *first_moment, *second_moment;
  const float *gradients, *clip_scale;
  Bf16* rounded;  // or null
  float beta1, rest1, beta2, rest2, rate, denominator_scale, eps, keep;

  LIMO_DEVICE void operator()(int64_t i) const {
    const float clip = clip_scale[0];
    if (clip != clip) return;  // no finite norm
    const int64_t at = i * N;
    float p[N], m[N], v[N], g[N];
    load<N>(p, parameters + at);
    load<N>(m, first_moment + at);
    load<N>(v, second_moment + at);
    load<N>(g, gradients + at);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float gradient = g[j] * clip;
      m[j] = rest1 * gradient + beta1 * m[j];
      v[j] = rest2 * (gradient * gradient) + beta2 * v[j];
      p[j] = p[j] * keep - rate * (m[j] / (sqrtf(v[j]) * denominator_scale + eps));
    }
    store<N>(parameters + at, p);
    store<N>(first_moment + at, m);
    store<N>(second_moment + at, v);
    if (rounded) store<N>(rounded + at, p);
  }
};

// A vector as one row.
bool takes_packs_of_4(const Tensor& vector) { return !vector || (reinterpret_cast<uintptr_t>(vector.data) % 16 == 0 && vector.rows % 4 == 0); }

}  // namespace

void run(const GradNorm& op, CudaContext& context) {
  const int64_t n = op.gradients.rows;
  const auto sum = [&](auto size) {
    constexpr int N = size;
    const int64_t packs = n / N, numbers_per_block = (packs + kPartialSums - 1) / kPartialSums * N;
    double* partial = context.partial_sums<double>(kPartialSums);
    launch(grad_norm_partial_kernel<N>, dim3(kPartialSums), dim3(kThreads), kThreads * sizeof(double), context.stream(), partial,
           static_cast<const float*>(op.gradients.f32()), n, numbers_per_block);
    launch(grad_norm_kernel, dim3(1), dim3(kThreads), kThreads * sizeof(double), context.stream(), op.norm.f32(), op.clip_scale.f32(),
           static_cast<const double*>(partial), op.max_norm);
  };
  if (takes_packs_of_4(op.gradients)) sum(std::integral_constant<int, 4>{});
  else sum(std::integral_constant<int, 1>{});
}

void run(const AdamW& op, CudaContext& context) {
  const double correction1 = 1 - ::pow(op.beta1, op.step), correction2 = 1 - ::pow(op.beta2, op.step);
  const auto update = [&](auto size) {
    constexpr int N = size;
    for_each(context, op.parameters.rows / N,
             UpdateParameters<N>{op.parameters.f32(), op.first_moment.f32(), op.second_moment.f32(), op.gradients.f32(), op.clip_scale.f32(),
                                 op.rounded.row<Bf16>(0), static_cast<float>(op.beta1), static_cast<float>(1 - op.beta1), static_cast<float>(op.beta2),
                                 static_cast<float>(1 - op.beta2), static_cast<float>(op.learning_rate / correction1),
                                 static_cast<float>(1 / ::sqrt(correction2)), static_cast<float>(op.eps),
                                 static_cast<float>(1 - op.learning_rate * op.weight_decay)});
  };
  const bool packs_fit = takes_packs_of_4(op.parameters) && takes_packs_of_4(op.first_moment) && takes_packs_of_4(op.second_moment) &&
                         takes_packs_of_4(op.gradients) && takes_packs_of_4(op.rounded);
  if (packs_fit) update(std::integral_constant<int, 4>{});
  else update(std::integral_constant<int, 1>{});
}

}  // namespace limo::cuda
