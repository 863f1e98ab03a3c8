#include "runtime/ceiling.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "runtime/arena.h"

namespace limo {

#define LIMO_DECLARE_CEILINGS(isa)                                  \
  namespace isa {                                                   \
  double run_multiply_adds(int64_t iterations, float* sink);        \
  double run_bf16_multiply_adds(int64_t iterations, float* sink);   \
  void run_update(float* z, const float* x, int64_t n);             \
  }
LIMO_DECLARE_CEILINGS(portable)
#ifdef LIMO_X86
LIMO_DECLARE_CEILINGS(avx2)
LIMO_DECLARE_CEILINGS(avx512)
LIMO_DECLARE_CEILINGS(avx512bf16)
#endif
#undef LIMO_DECLARE_CEILINGS

namespace {

using MultiplyAdds = double (*)(int64_t, float*);

struct CeilingKernels {
  MultiplyAdds multiply_adds, bf16_multiply_adds;
  void (*update)(float*, const float*, int64_t);
};

CeilingKernels kernels_of(Isa isa) {
  switch (isa) {
#ifdef LIMO_X86
    case Isa::kAvx2: return {avx2::run_multiply_adds, avx2::run_bf16_multiply_adds, avx2::run_update};
    case Isa::kAvx512: return {avx512::run_multiply_adds, avx512::run_bf16_multiply_adds, avx512::run_update};
    case Isa::kAvx512Bf16: return {avx512bf16::run_multiply_adds, avx512bf16::run_bf16_multiply_adds, avx512bf16::run_update};
#endif
    default: return {portable::run_multiply_adds, portable::run_bf16_multiply_adds, portable::run_update};
  }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double measure_rate(MultiplyAdds run, const CpuContext& context) {
  // Several short pieces for each thread, so that one that is held up does not hold up the measurement.
  constexpr int kPieces = 64;
  constexpr int64_t kIterations = 200000;
  const int tasks = kPieces * context.pool.threads();
  std::vector<double> operations(static_cast<size_t>(tasks));
  const auto start = std::chrono::steady_clock::now();
  parallel_for(context.pool, tasks, [&](int64_t task, int) {
    float sink = 0.999999f;
    operations[static_cast<size_t>(task)] = run(kIterations, &sink);
  });
  const double seconds = seconds_since(start);
  double total = 0;
  for (double count : operations) total += count;
  return total / seconds;
}

}  // namespace

double measure_multiply_add_rate(Isa isa, const CpuContext& context) { return measure_rate(kernels_of(isa).multiply_adds, context); }

double measure_bf16_multiply_add_rate(Isa isa, const CpuContext& context) {
  return measure_rate(kernels_of(isa).bf16_multiply_adds, context);
}

double measure_update_rate(Isa isa, const CpuContext& context) {
  const auto run = kernels_of(isa).update;
  constexpr int64_t kElements = 64 << 20, kBlock = 1 << 16;
  HostArena z(kElements * 4), x(kElements * 4);
  const auto pass = [&] {
    parallel_for(context.pool, kElements / kBlock, [&](int64_t task, int) {
      run(reinterpret_cast<float*>(z.data()) + task * kBlock, reinterpret_cast<float*>(x.data()) + task * kBlock, kBlock);
    });
  };
  // Pages that were never written are all one page of zeros, in a cache: both arrays are filled first.
  parallel_for(context.pool, kElements / kBlock, [&](int64_t task, int) {
    for (int64_t i = task * kBlock; i < (task + 1) * kBlock; ++i)
      reinterpret_cast<float*>(z.data())[i] = reinterpret_cast<float*>(x.data())[i] = static_cast<float>(i % 1000);
  });
  pass();
  double best = 0;
  for (int n = 0; n < 5; ++n) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    best = std::max(best, 12.0 * kElements / seconds_since(start));
  }
  return best;
}

}  // namespace limo
