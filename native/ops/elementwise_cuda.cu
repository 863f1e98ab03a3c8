#include <algorithm>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/elementwise.h"

namespace limo::cuda {
namespace {

template <class T, int N>
struct AddRows {
  using Index = uint32_t;
  T* out;
  const T *a, *b;
  int64_t out_stride, a_stride, b_stride;
  uint32_t packs_per_row;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t row = i / packs_per_row, column = i % packs_per_row * N;
    float x[N], y[N];
    load<N>(x, a + row * a_stride + column);
    load<N>(y, b + row * b_stride + column);
#pragma unroll
    for (int j = 0; j < N; ++j) x[j] += y[j];
    store<N>(out + row * out_stride + column, x);
  }
};

template <int N>
struct RoundEach {
  using Index = int64_t;
  Bf16* out;
  const float* x;

  LIMO_DEVICE void operator()(int64_t i) const {
    float v[N];
    load<N>(v, x + i * N);
    store<N>(out + i * N, v);
  }
};

}  // namespace

template <>
size_t check_limits(const Add& op, const CudaContext&) {
  check_packs(op.out, takes_packs(op.out) && takes_packs(op.a) && takes_packs(op.b));
  return 0;
}

template <>
size_t check_limits(const Copy& op, const CudaContext&) {
  const int64_t pitch = std::max(op.out.row_stride, op.x.row_stride) * dtype_bytes(op.x.dtype);
  constexpr int64_t kMostPitch = (int64_t{1} << 31) - 1;  // cudaDeviceProp::memPitch
  if (op.out.rows > 1 && pitch > kMostPitch)
    throw Error(ErrorCode::kProgramInvalid, "expected at most " + std::to_string(kMostPitch) + " bytes between rows but received " + std::to_string(pitch));
  return 0;
}

void run(const Add& op, CudaContext& context) {
  with_pack(op.out.dtype, takes_packs(op.out) && takes_packs(op.a) && takes_packs(op.b), [&](auto element, auto size) {
    using T = decltype(element);
    constexpr int N = size;
    const int64_t packs = op.out.cols / N;
    for_each(context, op.out.rows * packs,
             AddRows<T, N>{op.out.row<T>(0), op.a.row<T>(0), op.b.row<T>(0), op.out.row_stride, op.a.row_stride, op.b.row_stride,
                           static_cast<uint32_t>(packs)});
  });
}

// By the copy engine, whatever memory it is: of this device, of another, or of the host.
void run(const Copy& op, CudaContext& context) {
  const size_t element = static_cast<size_t>(dtype_bytes(op.x.dtype)), width = static_cast<size_t>(op.x.cols) * element;
  const size_t to_pitch = static_cast<size_t>(op.out.row_stride) * element, from_pitch = static_cast<size_t>(op.x.row_stride) * element;
  const size_t rows = static_cast<size_t>(op.x.rows);
  if (rows == 0) return;
  if (rows == 1 || (to_pitch == width && from_pitch == width))
    return check_cuda(cudaMemcpyAsync(op.out.data, op.x.data, width * rows, cudaMemcpyDefault, context.stream()), "copy");
  check_cuda(cudaMemcpy2DAsync(op.out.data, to_pitch, op.x.data, from_pitch, width, rows, cudaMemcpyDefault, context.stream()), "copy");
}

void run(const Cast& op, CudaContext& context) {
  if (vector_takes_packs(op.out) && vector_takes_packs(op.x))
    for_each(context, op.x.rows / kPackSize, RoundEach<kPackSize>{op.out.row<Bf16>(0), op.x.f32()});
  else for_each(context, op.x.rows, RoundEach<1>{op.out.row<Bf16>(0), op.x.f32()});
}

void run(const Zero& op, CudaContext& context) {
  check_cuda(cudaMemsetAsync(op.out.data, 0, static_cast<size_t>(op.out.rows) * sizeof(float), context.stream()), "zero");
}

}  // namespace limo::cuda
