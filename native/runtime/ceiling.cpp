#include "runtime/ceiling.h"

#include <chrono>
#include <vector>

namespace limo {

namespace portable {
double run_multiply_adds(int64_t iterations, float* sink);
}
#ifdef LIMO_X86
namespace avx2 {
double run_multiply_adds(int64_t iterations, float* sink);
}
namespace avx512 {
double run_multiply_adds(int64_t iterations, float* sink);
}
#endif

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
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  double total = 0;
  for (double count : operations) total += count;
  return total / seconds;
}

}  // namespace limo
