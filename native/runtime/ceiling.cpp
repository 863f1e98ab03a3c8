#include "runtime/ceiling.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "runtime/arena.h"

namespace limo {

#define LIMO_DECLARE_CEILINGS(isa)                                  \
  namespace isa {                                                   \
  double run_multiply_adds(int64_t iterations, float* sink);        \
  void run_update(float* z, const float* x, int64_t n);             \
  }
LIMO_DECLARE_CEILINGS(portable)
#ifdef LIMO_X86
LIMO_DECLARE_CEILINGS(avx2)
LIMO_DECLARE_CEILINGS(avx512)
#endif
#undef LIMO_DECLARE_CEILINGS

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_multiply_add_rate(Isa isa, const CpuContext& context) {
  auto* run = &portable::run_multiply_adds;
#ifdef LIMO_X86
  if (isa == Isa::kAvx2) run = &avx2::run_multiply_adds;
  if (isa == Isa::kAvx512) run = &avx512::run_multiply_adds;
#else
  (void)isa;
#endif
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

double measure_update_rate(Isa isa, const CpuContext& context) {
  auto* run = &portable::run_update;
#ifdef LIMO_X86
  if (isa == Isa::kAvx2) run = &avx2::run_update;
  if (isa == Isa::kAvx512) run = &avx512::run_update;
#else
  (void)isa;
#endif
  constexpr int64_t kElements = 64 << 20, kBlock = 1 << 16;
  Arena z(kElements * 4), x(kElements * 4);
  const auto pass = [&] {
    parallel_for(context.pool, kElements / kBlock, [&](int64_t task, int) {
      run(reinterpret_cast<float*>(z.data()) + task * kBlock, reinterpret_cast<float*>(x.data()) + task * kBlock, kBlock);
    });
  };
  pass();  // touches the pages
  double best = 0;
  for (int n = 0; n < 5; ++n) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    best = std::max(best, 12.0 * kElements / seconds_since(start));
  }
  return best;
}

}  // namespace limo
