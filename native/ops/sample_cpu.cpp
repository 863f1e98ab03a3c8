#include "ops/sample.h"

#include <cmath>

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {
namespace {

// Weights are whole multiples of this.
constexpr float kWeightUnits = 0x1p40f;

static_assert(kMostSampled * 8 <= kScratchBytesPerThread);

LIMO_INLINE uint64_t units_of_weight(float weight) { return static_cast<uint64_t>(weight * kWeightUnits); }

// fraction · sum in fixed point, for a fraction from 0 to 1.
LIMO_INLINE uint64_t part_of(uint64_t sum, float fraction) {
  const float in_range = fraction > 0 ? fraction < 1 ? fraction : 1.0f : 0.0f;
  return static_cast<uint64_t>(static_cast<double>(in_range) * static_cast<double>(sum));
}

// Radix key of a float: unsigned integers in the order of the values, the same one for 0 and −0.
LIMO_INLINE uint32_t order_of(float z) {
  const float value = z + 0.0f;
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Tokens that may still be chosen, in the order of their ids, with their weights.
struct Candidates {
  int32_t* ids;
  float* weights;
  int64_t count;

  LIMO_INLINE uint64_t total() const {
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += units_of_weight(weights[i]);
    return sum;
  }
  template <class Keep>
  LIMO_INLINE void keep(const Keep& keeps) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (!keeps(ids[i], weights[i])) continue;
      ids[kept] = ids[i];
      weights[kept++] = weights[i];
    }
    count = kept;
  }
};

// Keeps the first candidates in falling order of z, then rising id, until their amounts reach `limit`: a radix selection, one byte of the
// order at a time from the highest.
template <class Amount>
void keep_until(Candidates& candidates, const float* z, uint64_t limit, const Amount& amount) {
  uint32_t threshold = 0;
  uint64_t above = 0, each = 1;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const uint32_t known = shift == 24 ? 0 : ~0u << (shift + 8);
    uint64_t amounts[256] = {};
    for (int64_t i = 0; i < candidates.count; ++i) {
      const uint32_t order = order_of(z[candidates.ids[i]]);
      if ((order & known) == threshold) amounts[order >> shift & 255] += amount(candidates.weights[i]);
    }
    int digit = 255;
    for (; digit > 0 && above + amounts[digit] < limit; --digit) above += amounts[digit];
    threshold |= static_cast<uint32_t>(digit) << shift;
  }
  for (int64_t i = 0; i < candidates.count; ++i)
    if (order_of(z[candidates.ids[i]]) == threshold) each = amount(candidates.weights[i]);
  // Ties: tokens at the threshold weigh the same, and as many of them are kept as the limit needs.
  uint64_t equal = each == 0 ? 0 : (limit - above + each - 1) / each;
  candidates.keep([&](int32_t id, float) {
    const uint32_t order = order_of(z[id]);
    if (order != threshold) return order > threshold;
    if (equal == 0) return false;
    --equal;
    return true;
  });
}

LIMO_INLINE float largest_of(const float* z, int64_t count) {
  Vec largest = splat(z[0]);
  for_lanes(
      count, [&](int64_t i) { largest = maximum(load(z + i), largest); },
      [&](int64_t i, int64_t n) {
        for (int64_t j = i; j < i + n; ++j) largest = maximum(splat(z[j]), largest);
      });
  return reduce_max(largest);
}

LIMO_INLINE bool all_finite(const float* z, int64_t count) {
  return sum_vectors(count, [&](int64_t i, int64_t n, Vec sum) { return sum + load_up_to(z + i, n) * splat(0.0f); }) == 0.0f;
}

// log Σ exp(z)
double log_sum(const float* z, int64_t count) {
  const Vec shift = splat(largest_of(z, count));
  constexpr int64_t kBlock = 1024;
  double total = 0;
  for (int64_t start = 0; start < count; start += kBlock)
    total += sum_vectors(block_end(start, kBlock, count) - start, [&](int64_t i, int64_t n, Vec sum) {
      Vec e = exponential(load_up_to(z + start + i, n) - shift);
      for (int64_t j = n; j < kLanes; ++j) e[j] = 0;
      return sum + e;
    });
  return ::log(total) + static_cast<double>(first_lane(shift));
}

void penalize(float* z, int64_t count, const int32_t* seen, float penalty) {
  for (int64_t v = 0; v < count; ++v)
    if (static_cast<uint32_t>(seen[v / 32]) >> (v % 32) & 1) z[v] = z[v] > 0 ? z[v] / penalty : z[v] * penalty;
}

LIMO_INLINE int32_t greatest(const float* z, int64_t count) {
  const float max = largest_of(z, count);
  int32_t id = 0;
  while (z[id] != max) ++id;
  return id;
}

// Every token whose weight is at least one unit.
LIMO_INLINE Candidates weigh(const float* z, int64_t count, float temperature, float* scratch) {
  Candidates candidates{reinterpret_cast<int32_t*>(scratch), scratch + count, 0};
  const float max = largest_of(z, count);
  float weights[kLanes];
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t n = count - i < kLanes ? count - i : kLanes;
    store(weights, exponential((load_up_to(z + i, n) - splat(max)) / splat(temperature)));
    for (int64_t j = 0; j < n; ++j) {
      if (units_of_weight(weights[j]) == 0) continue;
      candidates.ids[candidates.count] = static_cast<int32_t>(i + j);
      candidates.weights[candidates.count++] = weights[j];
    }
  }
  return candidates;
}

struct Choice {
  float temperature, top_k, top_p, min_p, uniform;
};

int32_t choose(const float* z, int64_t count, const Choice& choice, float* scratch) {
  Candidates candidates = weigh(z, count, choice.temperature, scratch);
  if (choice.top_k >= 1 && choice.top_k < static_cast<float>(candidates.count))
    keep_until(candidates, z, static_cast<uint64_t>(choice.top_k), [](float) { return uint64_t{1}; });
  if (choice.top_p < 1) {
    const uint64_t limit = part_of(candidates.total(), choice.top_p);
    keep_until(candidates, z, limit < 1 ? 1 : limit, units_of_weight);
  }
  // The largest z weighs exactly 1, so one is left.
  const float least = choice.min_p < 1 ? choice.min_p : 1.0f;
  if (choice.min_p > 0) candidates.keep([&](int32_t, float weight) { return weight >= least; });
  const uint64_t aim = part_of(candidates.total(), choice.uniform);
  uint64_t sum = 0;
  for (int64_t i = 0; i < candidates.count; ++i) {
    sum += units_of_weight(candidates.weights[i]);
    if (sum > aim) return candidates.ids[i];
  }
  return candidates.ids[candidates.count - 1];
}

}  // namespace

void run(const Sample& op, const CpuContext& context) {
  const int64_t count = op.logits.cols;
  parallel_for(context.pool, op.logits.rows, [&](int64_t s, int thread) {
    float* const z = op.logits.row(s);
    if (op.penalty && op.penalty.f32()[s] != 1.0f) penalize(z, count, op.seen.row<int32_t>(s), op.penalty.f32()[s]);
    // Checked after the penalty, which may overflow.
    if (!all_finite(z, count)) {
      op.token.f32()[s] = -1;
      op.logprob.f32()[s] = 0;
      return;
    }
    const Choice choice{op.temperature.f32()[s], op.top_k.f32()[s], op.top_p.f32()[s], op.min_p.f32()[s], op.uniform.f32()[s]};
    const int32_t token = choice.temperature > 0 ? choose(z, count, choice, context.thread_scratch(thread)) : greatest(z, count);
    op.token.f32()[s] = static_cast<float>(token);
    op.logprob.f32()[s] = static_cast<float>(static_cast<double>(z[token]) - log_sum(z, count));
  });
}

}  // namespace limo::LIMO_ISA
