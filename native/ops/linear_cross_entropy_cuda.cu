#include <algorithm>
#include <vector>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/linear_cross_entropy.h"

namespace limo::cuda {
namespace {

constexpr int32_t kNotScored = -100;
// Threads per row of logits, and logits that each holds in registers.
constexpr int kSoftmaxThreads = 512;
constexpr int kLogitsPerThread = 8;

// Gather: row `rows[i]` of `from` to row i of `to`. Scatter: row i of `from` to row `rows[i]` of `to`.
template <class T, int N, bool kScatters>
struct MoveRows {
  using Index = uint32_t;
  T* to;
  const T* from;
  const int32_t* rows;
  int64_t to_stride, from_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / packs_per_row, column = i % packs_per_row * N;
    const int64_t other = rows[row];
    float x[N];
    load<N>(x, from + (kScatters ? row : other) * from_stride + column);
    store<N>(to + (kScatters ? other : row) * to_stride + column, x);
  }
};

template <bool kScatters>
void move_rows(CudaContext& context, const Tensor& to, const Tensor& from, const int32_t* rows, int64_t count) {
  with_pack(to.dtype, takes_packs(to) && takes_packs(from), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = to.cols / N;
    for_each(context, count * packs,
             MoveRows<T, N, kScatters>{to.row<T>(0), from.row<T>(0), rows, to.row_stride, from.row_stride, static_cast<uint32_t>(packs)});
  });
}

template <class T, int N>
struct ClearRows {
  using Index = uint32_t;
  T* to;
  int64_t stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const float zeros[N] = {};
    store<N>(to + i / packs_per_row * stride + i % packs_per_row * N, zeros);
  }
};

void clear_rows(CudaContext& context, const Tensor& to) {
  with_pack(to.dtype, takes_packs(to), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = to.cols / N;
    for_each(context, to.rows * packs, ClearRows<T, N>{to.row<T>(0), to.row_stride, static_cast<uint32_t>(packs)});
  });
}

struct SoftmaxRows {
  float* logits;  // overwritten by their gradients, of type T, from the start of the row
  float* token_loss;
  const int32_t *rows, *labels;
  const float* loss_weights;
  int64_t stride, vocabulary;
  bool with_gradient;
};

// Largest number and Σ exp(z − largest) of a part of a row.
struct Softmax {
  float largest, total;
};

LIMO_DEVICE Softmax together(Softmax a, Softmax b) {
  const float largest = fmaxf(a.largest, b.largest);
  // A part without numbers has −∞ and 0.
  if (largest == -INFINITY) return {largest, 0.0f};
  return {largest, a.total * expf(a.largest - largest) + b.total * expf(b.largest - largest)};
}

// A block has one row: the largest logit and the sum of exponentials in one pass, the gradient in another.
template <class T>
__global__ void __launch_bounds__(kSoftmaxThreads) softmax_rows_kernel(SoftmaxRows r) {
  LIMO_DYNAMIC_SHARED(shared);
  Softmax* const parts = reinterpret_cast<Softmax*>(shared);
  float* const z = r.logits + blockIdx.x * r.stride;
  const int32_t row = r.rows[blockIdx.x], label = r.labels[row];
  const float label_logit = z[label];
  float largest = -INFINITY, total = 0;
  constexpr int64_t kTile = kSoftmaxThreads * kLogitsPerThread;
  for (int64_t tile = 0; tile < r.vocabulary; tile += kTile) {
    float x[kLogitsPerThread], most = largest;
#pragma unroll
    for (int j = 0; j < kLogitsPerThread; ++j) {
      const int64_t i = tile + j * kSoftmaxThreads + threadIdx.x;
      x[j] = i < r.vocabulary ? z[i] : -INFINITY;
      most = fmaxf(most, x[j]);
    }
    // A thread that has had no numbers yet has −∞, and −∞ − −∞ would be NaN.
    if (most == -INFINITY) continue;
    total *= expf(largest - most);
    largest = most;
#pragma unroll
    for (int j = 0; j < kLogitsPerThread; ++j) total += expf(x[j] - largest);
  }
  Softmax part{largest, total};
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const float other_largest = __shfl_xor_sync(0xffffffffu, part.largest, lanes);
    const float other_total = __shfl_xor_sync(0xffffffffu, part.total, lanes);
    // Both lanes add the lower lane's part first, so both get the same bits.
    const Softmax other{other_largest, other_total};
    part = threadIdx.x & lanes ? together(other, part) : together(part, other);
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;
  __syncthreads();
  Softmax all = parts[0];
  for (int warp = 1; warp < kSoftmaxThreads / 32; ++warp) all = together(all, parts[warp]);
  const float weight = r.loss_weights[row];
  if (threadIdx.x == 0) r.token_loss[row] = static_cast<float>(log(static_cast<double>(all.total)) + (static_cast<double>(all.largest) - label_logit));
  if (!r.with_gradient) return;
  const float scale = weight / all.total;
  T* const d_z = reinterpret_cast<T*>(z);
  for (int64_t tile = 0; tile < r.vocabulary; tile += kTile) {
    float x[kLogitsPerThread] = {};
#pragma unroll
    for (int j = 0; j < kLogitsPerThread; ++j) {
      const int64_t i = tile + j * kSoftmaxThreads + threadIdx.x;
      if (i < r.vocabulary) x[j] = expf(z[i] - all.largest) * scale - (i == label ? weight : 0.0f);
    }
    // In place: two-byte gradients overlap only logits of this and earlier tiles, which all threads have read.
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kLogitsPerThread; ++j) {
      const int64_t i = tile + j * kSoftmaxThreads + threadIdx.x;
      if (i < r.vocabulary) narrow(d_z[i], x[j]);
    }
  }
}

// loss = Σ loss_weights·token_loss in double, by one block: each thread every kThreads-th row, then the threads in a tree.
__global__ void __launch_bounds__(kThreads) sum_losses_kernel(float* loss, const float* token_loss, const float* loss_weights, const int32_t* labels,
                                                              int64_t rows) {
  LIMO_DYNAMIC_SHARED(shared);
  double* const sums = reinterpret_cast<double*>(shared);
  double sum = 0;
  for (int64_t t = threadIdx.x; t < rows; t += kThreads)
    if (labels[t] != kNotScored) sum += static_cast<double>(loss_weights[t]) * token_loss[t];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned threads = kThreads / 2; threads > 0; threads /= 2) {
    if (threadIdx.x < threads) sums[threadIdx.x] += sums[threadIdx.x + threads];
    __syncthreads();
  }
  if (threadIdx.x == 0) loss[0] = static_cast<float>(sums[0]);
}

std::vector<int32_t> scored_rows(const int32_t* labels, int64_t rows) {
  std::vector<int32_t> scored;
  for (int64_t t = 0; t < rows; ++t)
    if (labels[t] != kNotScored) scored.push_back(static_cast<int32_t>(t));
  return scored;
}

template <class T>
void project_and_score(const LinearCrossEntropy& op, CudaContext& context) {
  const int64_t tokens = op.hidden.rows, columns = op.hidden.cols, vocabulary = op.weight.rows;
  const bool with_gradient = op.d_hidden || op.d_weight;
  check_cuda(cudaMemsetAsync(op.token_loss.data, 0, static_cast<size_t>(tokens) * sizeof(float), context.stream()), "losses of tokens");
  if (op.d_hidden) clear_rows(context, op.d_hidden);
  const auto [rows, count] = context.list<int32_t>(op.labels, 0, [&] { return scored_rows(context.integers(op.labels), tokens); });
  const int64_t chunks = (count + op.logits.rows - 1) / op.logits.rows;
  const int64_t most = chunks == 0 ? 1 : (count + chunks - 1) / chunks;
  constexpr DType kType = sizeof(T) == 2 ? DType::kBF16 : DType::kF32;
  for (int64_t first = 0; first < count; first += most) {
    const int64_t n = std::min(most, count - first);
    move_rows<false>(context, op.hidden_rows, op.hidden, rows + first, n);
    const Matrix hidden{op.hidden_rows.data, kType, op.hidden_rows.row_stride, false};
    const Matrix weight{op.weight.data, kType, op.weight.row_stride, false};
    Matrix weight_transposed = weight;
    weight_transposed.transposed = true;
    context.products().multiply({.m = n, .n = vocabulary, .k = columns, .a = hidden, .b = weight_transposed, .c = op.logits.data, .c_dtype = DType::kF32,
                                 .c_row_stride = op.logits.row_stride, .accumulate = false, .bias = nullptr});
    launch(softmax_rows_kernel<T>, dim3(static_cast<unsigned>(n)), dim3(kSoftmaxThreads), kSoftmaxThreads / 32 * sizeof(Softmax), context.stream(),
           SoftmaxRows{op.logits.f32(), op.token_loss.f32(), rows + first, op.labels.i32(), op.loss_weights.f32(), op.logits.row_stride, vocabulary,
                       with_gradient});
    if (!with_gradient) continue;
    const Matrix d_logits{op.logits.data, kType, op.logits.row_stride * static_cast<int64_t>(sizeof(float) / sizeof(T)), false};
    Matrix d_logits_transposed = d_logits;
    d_logits_transposed.transposed = true;
    if (op.d_hidden) {
      context.products().multiply({.m = n, .n = columns, .k = vocabulary, .a = d_logits, .b = weight, .c = op.d_hidden_rows.data, .c_dtype = kType,
                                   .c_row_stride = op.d_hidden_rows.row_stride, .accumulate = false, .bias = nullptr});
      move_rows<true>(context, op.d_hidden, op.d_hidden_rows, rows + first, n);
    }
    if (!op.d_weight) continue;
    context.products().multiply({.m = vocabulary, .n = columns, .k = n, .a = d_logits_transposed, .b = hidden, .c = op.d_weight.data,
                                 .c_dtype = DType::kF32, .c_row_stride = op.d_weight.row_stride, .accumulate = true, .bias = nullptr});
  }
  launch(sum_losses_kernel, dim3(1), dim3(kThreads), kThreads * sizeof(double), context.stream(), op.loss.f32(),
         static_cast<const float*>(op.token_loss.f32()), static_cast<const float*>(op.loss_weights.f32()), static_cast<const int32_t*>(op.labels.i32()),
         tokens);
}

}  // namespace

template <>
size_t check_limits(const LinearCrossEntropy& op, const CudaContext&) {
  check_packs(op.hidden, takes_packs(op.hidden) && takes_packs(op.hidden_rows) &&
                             (!op.d_hidden || (takes_packs(op.d_hidden) && takes_packs(op.d_hidden_rows))));
  return static_cast<size_t>(op.labels.rows) * sizeof(int32_t);
}

void run(const LinearCrossEntropy& op, CudaContext& context) {
  if (op.hidden.dtype == DType::kBF16) project_and_score<Bf16>(op, context);
  else project_and_score<float>(op, context);
}

}  // namespace limo::cuda
