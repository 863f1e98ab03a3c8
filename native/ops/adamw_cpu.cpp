#include "ops/adamw.h"

#include <cmath>

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {
namespace {

// Floats of a task: long enough for the hardware prefetcher to pick up four streams.
constexpr int64_t kBlock = 1 << 18;
// Prefetch distance, in floats.
constexpr int64_t kAhead = 384;
// Partial sums of the norm: each covers N / kPartialSums gradients, whatever the number of threads.
constexpr int64_t kPartialSums = 256;

double sum_of_squares_in_double(const float* x, int64_t n) {
  // Sixteen accumulators, so that the loop is not latency-bound.
  double sums[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int lane = 0; lane < 16; ++lane) {
      const double value = x[i + lane];
      sums[lane] += value * value;
    }
  for (; i < n; ++i) sums[0] += static_cast<double>(x[i]) * x[i];
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

// kRounds: the parameters are also stored as bfloat16.
template <bool kRounds>
void update_all(const AdamW& op, const CpuContext& context) {
  const float clip = op.clip_scale.f32()[0];
  if (clip != clip) return;  // no finite norm
  const int64_t n = op.parameters.rows;
  const double correction1 = 1 - ::pow(op.beta1, op.step), correction2 = 1 - ::pow(op.beta2, op.step);
  const Vec scale = splat(clip);
  const Vec beta1 = splat(static_cast<float>(op.beta1)), rest1 = splat(static_cast<float>(1 - op.beta1));
  const Vec beta2 = splat(static_cast<float>(op.beta2)), rest2 = splat(static_cast<float>(1 - op.beta2));
  const Vec rate = splat(static_cast<float>(op.learning_rate / correction1));
  const Vec denominator_scale = splat(static_cast<float>(1 / ::sqrt(correction2)));
  const Vec eps = splat(static_cast<float>(op.eps));
  const Vec keep = splat(static_cast<float>(1 - op.learning_rate * op.weight_decay));

  parallel_for(context.pool, (n + kBlock - 1) / kBlock, [&](int64_t task, int) {
    const int64_t start = task * kBlock, count = block_end(start, kBlock, n) - start;
    // Local copies of the pointers stay in registers: the lambda's captures lie in memory that, for all the compiler knows, the stores may
    // alias.
    float* const p = op.parameters.f32() + start;
    float* const m = op.first_moment.f32() + start;
    float* const v = op.second_moment.f32() + start;
    const float* const g = op.gradients.f32() + start;
    Bf16* const rounded = kRounds ? op.rounded.row<Bf16>(start) : nullptr;
    const auto update = [&](Vec& parameter, Vec& first, Vec& second, Vec gradient) __attribute__((always_inline)) {
      gradient *= scale;
      first = rest1 * gradient + beta1 * first;
      second = rest2 * (gradient * gradient) + beta2 * second;
      const Vec denominator = square_root(second) * denominator_scale + eps;
      parameter = parameter * keep - rate * (first / denominator);
    };
    for_lanes(
        count,
        [&](int64_t i) {
          // Software prefetch: four streams at once are more than the hardware prefetcher follows.
          __builtin_prefetch(p + i + kAhead, 1);
          __builtin_prefetch(m + i + kAhead, 1);
          __builtin_prefetch(v + i + kAhead, 1);
          __builtin_prefetch(g + i + kAhead);
          Vec parameter = load(p + i), first = load(m + i), second = load(v + i);
          update(parameter, first, second, load(g + i));
          store(p + i, parameter);
          if constexpr (kRounds) store(rounded + i, parameter);
          store(m + i, first);
          store(v + i, second);
        },
        [&](int64_t i, int64_t rest) {
          Vec parameter = load_partial(p + i, rest), first = load_partial(m + i, rest), second = load_partial(v + i, rest);
          update(parameter, first, second, load_partial(g + i, rest));
          store_partial(p + i, parameter, rest);
          if constexpr (kRounds) store_partial(rounded + i, parameter, rest);
          store_partial(m + i, first, rest);
          store_partial(v + i, second, rest);
        });
  });
}

}  // namespace

void run(const GradNorm& op, const CpuContext& context) {
  const int64_t n = op.gradients.rows;
  const int64_t block = (n + kPartialSums - 1) / kPartialSums;
  double sums[kPartialSums] = {};
  parallel_for(context.pool, kPartialSums, [&](int64_t task, int) {
    const int64_t start = task * block;
    if (start < n) sums[task] = sum_of_squares_in_double(op.gradients.f32() + start, block_end(start, block, n) - start);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  const double norm = ::sqrt(total);
  const float written = static_cast<float>(norm);  // infinite from 3.4e38 on
  op.norm.f32()[0] = written;
  double scale = 1;
  if (op.max_norm > 0 && norm + 1e-6 > op.max_norm) scale = op.max_norm / (norm + 1e-6);
  op.clip_scale.f32()[0] = written - written == 0 ? static_cast<float>(scale) : __builtin_nanf("");
}

void run(const AdamW& op, const CpuContext& context) {
  if (op.rounded) update_all<true>(op, context);
  else update_all<false>(op, context);
}

}  // namespace limo::LIMO_ISA
