#include <algorithm>

#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/sample.h"

namespace limo::cuda {
namespace {

// Radix selection: a block has one row of logits and makes several passes over it. Each pass fixes one more digit of a threshold, from a
// histogram: the sum of weights for each value of the digit. The sums are integers, so their order does not matter.
constexpr int kMostThreads = 1024;
// Numbers that a thread has in registers at once: 32 KiB of a row are under way.
constexpr int kNumbersAtOnce = 8;

constexpr float kWeightUnits = 0x1p40f;
constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;

// Sort key of a token: z, largest first, then its id, smallest first. No two are equal.
constexpr int kIdBits = 21;
constexpr uint64_t kLargestId = (1 << kIdBits) - 1;
static_assert(kMostSampled <= static_cast<int64_t>(kLargestId));

// Radix key of a float: unsigned integers in the order of the values, the same one for 0 and −0.
LIMO_DEVICE uint32_t order_of(float z) {
  const uint32_t bits = __float_as_uint(z + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
LIMO_DEVICE uint64_t key_of(float z, int id) { return static_cast<uint64_t>(order_of(z)) << kIdBits | (kLargestId - static_cast<uint64_t>(id)); }

// The 11-bit radix digits of a key, highest first: three of z, two of the id. 32 and 21 bits are no multiples of 11, so digits 2 and 4
// overlap their predecessor by a bit. That is harmless: the bit is fixed by then. Ids in a warp are consecutive, so they share digit 3.
struct Digit {
  int shift;
  bool same_in_warp;
};
constexpr int kAllDigits = 5, kOrderDigits = 3;
LIMO_DEVICE Digit digit_of(int number) {
  switch (number) {
    case 0: return {kIdBits + 21, false};
    case 1: return {kIdBits + 10, false};
    case 2: return {kIdBits, false};
    case 3: return {10, true};
    default: return {0, false};
  }
}

// Shared memory of a block.
struct SampleMemory {
  uint32_t low[kDigits], high[kDigits];  // a sum of weights for each digit, in two halves
  uint64_t sums[32];
  uint64_t above;  // the sum of what is above the threshold
  float numbers[32];
  int digit;
};

// Warp sum of 64-bit integers.
LIMO_DEVICE uint64_t other_lane(uint64_t x, int distance) {
  const uint32_t low = __shfl_xor_sync(0xffffffffu, static_cast<uint32_t>(x), distance);
  return static_cast<uint64_t>(__shfl_xor_sync(0xffffffffu, static_cast<uint32_t>(x >> 32), distance)) << 32 | low;
}

LIMO_DEVICE uint64_t warp_total(uint64_t x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += other_lane(x, lanes);
  return x;
}

LIMO_DEVICE uint64_t block_total(uint64_t x, SampleMemory& memory) {
  x = warp_total(x);
  if (threadIdx.x % 32 == 0) memory.sums[threadIdx.x / 32] = x;
  __syncthreads();
  uint64_t total = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) total += memory.sums[warp];
  __syncthreads();
  return total;
}

LIMO_DEVICE float block_maximum(float x, SampleMemory& memory) {
  x = warp_maximum(x);
  if (threadIdx.x % 32 == 0) memory.numbers[threadIdx.x / 32] = x;
  __syncthreads();
  float maximum = memory.numbers[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) maximum = fmaxf(maximum, memory.numbers[warp]);
  __syncthreads();
  return maximum;
}

// body(z[i], i, j) for every number of a row, by whole warps of 32 numbers; those after the end are −∞. j counts those that a thread
// has at once.
template <class Body>
LIMO_DEVICE void for_numbers(const float* z, int count, const Body& body) {
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  for (int first = 0; first < count; first += kNumbersAtOnce * threads) {
    float x[kNumbersAtOnce];
#pragma unroll
    for (int j = 0; j < kNumbersAtOnce; ++j) {
      const int i = first + j * threads + thread;
      x[j] = i < count ? z[i] : -INFINITY;
    }
#pragma unroll
    for (int j = 0; j < kNumbersAtOnce; ++j) body(x[j], first + j * threads + thread, j);
  }
}

// A row of logits, and which of its tokens may still be chosen.
struct Candidates {
  const float* z;
  int count;
  float maximum, temperature;
  uint64_t least_key = 0;
  float least_weight = 0.0f;

  // The weight of a token as a whole number; 0 when it may not be chosen.
  LIMO_DEVICE uint64_t units(float x, uint64_t key) const {
    if (key < least_key) return 0;
    const float weight = expf((x - maximum) / temperature);
    return weight >= least_weight ? static_cast<uint64_t>(weight * kWeightUnits) : 0;
  }
};

LIMO_DEVICE uint64_t total_weight(const Candidates& candidates, SampleMemory& memory) {
  uint64_t sum = 0;
  for_numbers(candidates.z, candidates.count, [&](float x, int id, int) { sum += candidates.units(x, key_of(x, id)); });
  return block_total(sum, memory);
}

// A sum in two halves: the lower one tells when it overflows.
LIMO_DEVICE void add_to_sum(SampleMemory& memory, uint32_t digit, uint64_t amount) {
  const uint32_t low = static_cast<uint32_t>(amount);
  const uint32_t carry = low > 0xffffffffu - atomicAdd(&memory.low[digit], low) ? 1 : 0;
  const uint32_t high = static_cast<uint32_t>(amount >> 32) + carry;
  if (high != 0) atomicAdd(&memory.high[digit], high);
}

LIMO_DEVICE uint64_t sum_of(const SampleMemory& memory, int digit) { return static_cast<uint64_t>(memory.high[digit]) << 32 | memory.low[digit]; }

// The largest digit for which the sums from it upwards, with `above`, reach the limit; 0 when none does. By one warp.
LIMO_DEVICE void find_digit(SampleMemory& memory, uint64_t above, uint64_t limit) {
  constexpr int kDigitsOfLane = kDigits / 32;
  const int lane = static_cast<int>(threadIdx.x), top = kDigits - 1 - lane * kDigitsOfLane, bottom = top - kDigitsOfLane + 1;
  uint64_t own = 0;
#pragma unroll 8
  for (int digit = top; digit >= bottom; --digit) own += sum_of(memory, digit);
  memory.sums[lane] = own;
  __syncwarp();
  for (int before = 0; before < lane; ++before) above += memory.sums[before];
  // One lane alone: the first that reaches the limit, or else the last.
  if (above >= limit || (above + own < limit && lane < 31)) return;
  int digit = top;
  for (; digit > bottom && above + sum_of(memory, digit) < limit; --digit) above += sum_of(memory, digit);
  memory.digit = digit;
  memory.above = above;
}

// The smallest key that is kept when tokens are taken by falling key until their amounts reach the limit: digits [first, kAllDigits) of
// it, by an amount(x, key) for each.
template <class Amount>
LIMO_DEVICE uint64_t find_threshold(const Candidates& candidates, int first, uint64_t limit, SampleMemory& memory, const Amount& amount) {
  const uint64_t digits_after = first == kOrderDigits ? kLargestId : ~uint64_t{0};
  uint64_t threshold = 0, above = 0, known = 0;
  for (int number = first; number < kAllDigits; ++number) {
    const auto [shift, same_in_warp] = digit_of(number);
    for (int digit = static_cast<int>(threadIdx.x); digit < kDigits; digit += static_cast<int>(blockDim.x)) memory.low[digit] = memory.high[digit] = 0;
    __syncthreads();
    for_numbers(candidates.z, candidates.count, [&, shift = shift, same_in_warp = same_in_warp](float x, int id, int) {
      const uint64_t key = key_of(x, id), digits = key & digits_after;
      uint64_t own = id < candidates.count && (digits & known) == threshold ? amount(x, key) : 0;
      // Where the warp shares the digit: one atomic for its sum instead of 32 at one address.
      if (same_in_warp) own = warp_total(own);
      if (own != 0 && (!same_in_warp || threadIdx.x % 32 == 0)) add_to_sum(memory, static_cast<uint32_t>(digits >> shift) & (kDigits - 1), own);
    });
    __syncthreads();
    if (threadIdx.x < 32) find_digit(memory, above, limit);
    __syncthreads();
    threshold |= static_cast<uint64_t>(memory.digit) << shift;
    above = memory.above;
    known = digits_after & ~((uint64_t{1} << shift) - 1);
  }
  return threshold;
}

// fraction · sum in fixed point, for a fraction from 0 to 1.
LIMO_DEVICE uint64_t part_of(uint64_t sum, float fraction) {
  const float in_range = fraction > 0 ? fraction < 1 ? fraction : 1.0f : 0.0f;
  return static_cast<uint64_t>(static_cast<double>(in_range) * static_cast<double>(sum));
}

struct SampleRows {
  float *token, *logprob, *logits;
  const float *temperature, *top_k, *top_p, *min_p, *uniform, *penalty;
  const int32_t* seen;
  int64_t logits_stride, seen_stride;
  int vocabulary;
};

LIMO_DEVICE int choose(Candidates& candidates, const SampleRows& r, unsigned row, SampleMemory& memory) {
  const auto weight = [&](float x, uint64_t key) { return candidates.units(x, key); };
  const float top_k = r.top_k[row], top_p = r.top_p[row], min_p = r.min_p[row];
  if (top_k >= 1 && top_k < static_cast<float>(candidates.count))
    candidates.least_key = find_threshold(candidates, 0, static_cast<uint64_t>(top_k), memory,
                                          [&](float x, uint64_t key) { return candidates.units(x, key) > 0 ? uint64_t{1} : uint64_t{0}; });
  if (top_p < 1) {
    const uint64_t limit = part_of(total_weight(candidates, memory), top_p);
    candidates.least_key = find_threshold(candidates, 0, limit < 1 ? 1 : limit, memory, weight);
  }
  // The largest z weighs exactly 1, so one is left.
  if (min_p > 0) candidates.least_weight = min_p < 1 ? min_p : 1.0f;
  const uint64_t total = total_weight(candidates, memory), aim = part_of(total, r.uniform[row]);
  // Inverse transform sampling: in the order of ids, until the running sum passes the target.
  return static_cast<int>(kLargestId - find_threshold(candidates, kOrderDigits, aim < total ? aim + 1 : total, memory, weight));
}

// The penalty, and the largest number after it; NaN when one is not finite.
LIMO_DEVICE float penalize(float* z, const SampleRows& r, unsigned row, SampleMemory& memory) {
  const float penalty = r.penalty ? r.penalty[row] : 1.0f;
  const int32_t* const seen = r.seen + row * r.seen_stride;
  float largest = -INFINITY;
  uint64_t not_finite = 0;
  for_numbers(z, r.vocabulary, [&](float x, int id, int) {
    if (id >= r.vocabulary) return;
    if (penalty != 1.0f && static_cast<uint32_t>(seen[id / 32]) >> (id % 32) & 1) z[id] = x = x > 0 ? x / penalty : x * penalty;
    largest = fmaxf(largest, x);
    if (!(fabsf(x) < INFINITY)) not_finite = 1;
  });
  largest = block_maximum(largest, memory);
  return block_total(not_finite, memory) > 0 ? NAN : largest;
}

// log Σ exp(z), and the smallest id of a largest number.
LIMO_DEVICE double log_sum(const Candidates& candidates, SampleMemory& memory, int& greatest) {
  float sums[kNumbersAtOnce] = {};
  int first = candidates.count;
  for_numbers(candidates.z, candidates.count, [&](float x, int id, int j) {
    sums[j] += expf(x - candidates.maximum);
    if (x == candidates.maximum && id < first) first = id;
  });
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < kNumbersAtOnce; ++j) sum += sums[j];
  sum = warp_sum(sum);
  // Ids are numbers that a float32 holds.
  greatest = -static_cast<int>(block_maximum(-static_cast<float>(first), memory));
  if (threadIdx.x % 32 == 0) memory.numbers[threadIdx.x / 32] = sum;
  __syncthreads();
  double total = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) total += memory.numbers[warp];
  __syncthreads();
  return log(total) + static_cast<double>(candidates.maximum);
}

__global__ void __launch_bounds__(kMostThreads) sample_kernel(SampleRows r) {
  LIMO_DYNAMIC_SHARED(shared);
  SampleMemory& memory = *reinterpret_cast<SampleMemory*>(shared);
  const unsigned row = blockIdx.x;
  float* const z = r.logits + row * r.logits_stride;
  Candidates candidates{z, r.vocabulary, penalize(z, r, row, memory), r.temperature[row]};
  int token = -1;
  double logprob = 0;
  if (candidates.maximum == candidates.maximum) {
    const double lse = log_sum(candidates, memory, token);
    if (candidates.temperature > 0) token = choose(candidates, r, row, memory);
    logprob = static_cast<double>(z[token]) - lse;
  }
  if (threadIdx.x != 0) return;
  r.token[row] = static_cast<float>(token);
  r.logprob[row] = static_cast<float>(logprob);
}

}  // namespace

void run(const Sample& op, CudaContext& context) {
  const int vocabulary = static_cast<int>(op.logits.cols);
  const SampleRows rows{op.token.f32(), op.logprob.f32(), op.logits.f32(), op.temperature.f32(), op.top_k.f32(), op.top_p.f32(), op.min_p.f32(),
                        op.uniform.f32(), op.penalty.f32(), op.seen.i32(), op.logits.row_stride, op.seen.row_stride, vocabulary};
  launch(sample_kernel, dim3(static_cast<unsigned>(op.logits.rows)), dim3(static_cast<unsigned>(std::min((vocabulary + 31) / 32 * 32, kMostThreads))),
         sizeof(SampleMemory), context.stream(), rows);
}

}  // namespace limo::cuda
