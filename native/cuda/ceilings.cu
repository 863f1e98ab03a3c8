#include "cuda/ceilings.h"

#include <algorithm>
#include <functional>

#include "cuda/elements.h"

namespace limo::cuda {
namespace {

struct HalveAndAdd {
  using Index = uint32_t;
  float* z;
  const float* x;

  LIMO_DEVICE void operator()(uint32_t i) const {
    float a[4], b[4];
    load<4>(a, z + static_cast<int64_t>(i) * 4);
    load<4>(b, x + static_cast<int64_t>(i) * 4);
#pragma unroll
    for (int j = 0; j < 4; ++j) a[j] = a[j] * 0.5f + b[j];
    store<4>(z + static_cast<int64_t>(i) * 4, a);
  }
};

// Random operands of magnitude about 1, as float32 and as pairs of bfloat16: zeros take less power and so flatter the clock.
struct FillNumbers {
  using Index = uint32_t;
  uint32_t* to;

  LIMO_DEVICE void operator()(uint32_t i) const {
    const uint32_t mixed = (i ^ i >> 15) * 2654435761u;
    // Signs and fractions vary; exponents are those of numbers from 1/2 to 2.
    to[i] = (mixed & 0x80ff80ffu) | 0x3f003f00u;
  }
};

// Device memory for the time of a measurement, full of numbers.
class Memory {
 public:
  Memory(const CudaContext& context, size_t bytes) {
    check_cuda(cudaMalloc(&data_, bytes), "cudaMalloc for a measurement");
    for_each(context, static_cast<int64_t>(bytes / 4), FillNumbers{static_cast<uint32_t*>(data_)});
  }
  ~Memory() { cudaFree(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// The shortest of several runs, in seconds.
double best_seconds(const CudaContext& context, const std::function<void()>& run) {
  cudaEvent_t start, end;
  check_cuda(cudaEventCreate(&start), "cudaEventCreate");
  check_cuda(cudaEventCreate(&end), "cudaEventCreate");
  float best = INFINITY;
  for (int n = 0; n < 6; ++n) {
    check_cuda(cudaEventRecord(start, context.stream()), "cudaEventRecord");
    run();
    check_cuda(cudaEventRecord(end, context.stream()), "cudaEventRecord");
    check_cuda(cudaEventSynchronize(end), "a measurement");
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime");
    if (n > 0) best = std::min(best, milliseconds);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(end);
  return best / 1e3;
}

}  // namespace

double measure_ceiling(CudaContext& context, Ceiling ceiling, bool small) {
  if (ceiling == Ceiling::kUpdate || ceiling == Ceiling::kRead) {
    const int64_t elements = small ? 1 << 16 : 256 << 20;
    const Memory z(context, static_cast<size_t>(elements) * 4), x(context, static_cast<size_t>(elements) * 4);
    const auto run = [&] { for_each(context, elements / 4, HalveAndAdd{static_cast<float*>(z.data()), static_cast<const float*>(x.data())}); };
    return 12.0 * static_cast<double>(elements) / best_seconds(context, run);
  }
  const int64_t size = small ? 64 : 8192;
  const DType dtype = ceiling == Ceiling::kBf16MultiplyAdd ? DType::kBF16 : DType::kF32;
  const size_t bytes = static_cast<size_t>(size * size) * 4;
  const Memory a(context, bytes), b(context, bytes), c(context, bytes);
  const auto run = [&] {
    context.products().multiply({.m = size, .n = size, .k = size, .a = {a.data(), dtype, size, false}, .b = {b.data(), dtype, size, true}, .c = c.data(),
                                 .c_dtype = dtype, .c_row_stride = size, .accumulate = false, .bias = nullptr});
  };
  return 2.0 * static_cast<double>(size * size * size) / best_seconds(context, run);
}

}  // namespace limo::cuda
