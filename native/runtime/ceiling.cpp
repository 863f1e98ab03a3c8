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
  float run_read(const float* x, int64_t n);                        \
  }
LIMO_FOR_EACH_BUILT_ISA(LIMO_DECLARE_CEILINGS)
#undef LIMO_DECLARE_CEILINGS

namespace {

using MultiplyAdds = double (*)(int64_t, float*);

struct CeilingKernels {
  MultiplyAdds multiply_adds, bf16_multiply_adds;
  void (*update)(float*, const float*, int64_t);
  float (*read)(const float*, int64_t);
};

CeilingKernels kernels_of(Isa isa) {
#define LIMO_RETURN(name) \
  if (isa == Isa::name) return {name::run_multiply_adds, name::run_bf16_multiply_adds, name::run_update, name::run_read};
  LIMO_FOR_EACH_BUILT_ISA(LIMO_RETURN)
#undef LIMO_RETURN
  return {};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double measure_rate(MultiplyAdds run, const CpuContext& context, bool small) {
  // Several short pieces for each thread, so that one that is held up does not hold up the measurement.
  constexpr int kPieces = 64;
  const int64_t iterations = small ? 100 : 200000;
  const int tasks = kPieces * context.pool.threads();
  std::vector<double> operations(static_cast<size_t>(tasks));
  const auto start = std::chrono::steady_clock::now();
  parallel_for(context.pool, tasks, [&](int64_t task, int) {
    float sink = 0.999999f;
    operations[static_cast<size_t>(task)] = run(iterations, &sink);
  });
  const double seconds = seconds_since(start);
  double total = 0;
  for (double count : operations) total += count;
  return total / seconds;
}

// Floats that no cache holds, 256 MiB, or where `small` 1 MiB, in blocks.
class BigArray {
 public:
  static constexpr int64_t kBlock = 1 << 16;

  // Pages that were never written are all one page of zeros, in a cache: it is filled first.
  BigArray(const CpuContext& context, bool small) : blocks_(small ? 4 : 1 << 10), memory_(static_cast<size_t>(elements()) * 4) {
    parallel_for(context.pool, blocks_, [&](int64_t number, int) {
      for (int64_t i = 0; i < kBlock; ++i) block(number)[i] = static_cast<float>(i % 1000);
    });
  }
  int64_t blocks() const { return blocks_; }
  int64_t elements() const { return kBlock * blocks_; }
  float* block(int64_t number) { return reinterpret_cast<float*>(memory_.data()) + number * kBlock; }

 private:
  const int64_t blocks_;
  HostArena memory_;
};

// The most bytes a second of five passes that move so many.
template <class Pass>
double best_rate(double bytes, const Pass& pass) {
  pass();
  double best = 0;
  for (int n = 0; n < 5; ++n) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    best = std::max(best, bytes / seconds_since(start));
  }
  return best;
}

}  // namespace

double measure_multiply_add_rate(Isa isa, const CpuContext& context, bool small) {
  return measure_rate(kernels_of(isa).multiply_adds, context, small);
}

double measure_bf16_multiply_add_rate(Isa isa, const CpuContext& context, bool small) {
  return measure_rate(kernels_of(isa).bf16_multiply_adds, context, small);
}

double measure_update_rate(Isa isa, const CpuContext& context, bool small) {
  const auto run = kernels_of(isa).update;
  BigArray z(context, small), x(context, small);
  return best_rate(12.0 * static_cast<double>(z.elements()), [&] {
    parallel_for(context.pool, z.blocks(), [&](int64_t block, int) { run(z.block(block), x.block(block), BigArray::kBlock); });
  });
}

double measure_read_rate(Isa isa, const CpuContext& context, bool small) {
  const auto run = kernels_of(isa).read;
  BigArray x(context, small);
  std::vector<float> sums(static_cast<size_t>(x.blocks()));
  return best_rate(4.0 * static_cast<double>(x.elements()), [&] {
    parallel_for(context.pool, x.blocks(), [&](int64_t block, int) { sums[static_cast<size_t>(block)] = run(x.block(block), BigArray::kBlock); });
  });
}

}  // namespace limo
