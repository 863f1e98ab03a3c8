#pragma once

#include "cuda/attention/sm90_tiles.h"

namespace limo::cuda::sm90 {

// Factor from scores to exponents of 2.
struct ScoreScale {
  float log2;        // scale · log2(e)
  float large_log2;  // the next power of two
};

// The online softmax of a lane's two rows (Milakov and Gimelshein, 2018), in the domain of exp2.
//
// p = 2^(s·c − reference) is one multiply-add, with reference = maximum·c rounded. That rounding multiplies all of a row by the
// same factor, which the sum of the row takes out again; but at |maximum·c| ≥ 2^30 it might overflow. There two different scores
// lie so far apart that only those equal to the maximum count, for any c of that size: a power of two, whose products are exact,
// makes those 2^0.
struct SoftmaxRows {
  static constexpr float kLarge = 1 << 30;

  float maximum[2] = {-INFINITY, -INFINITY};
  float reference[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};  // partial sum over this lane's columns, until finish()

  // Turns a block of scores into p. `correction`: what to multiply the rows of earlier blocks with.
  template <int R>
  LIMO_DEVICE void update(float (&s)[R], float (&correction)[2], const ScoreScale& scale) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
#pragma unroll
      for (int j = 0; j < R / 4; ++j) maximum[r] = fmaxf(maximum[r], fmaxf(s[4 * j + 2 * r], s[4 * j + 2 * r + 1]));
      maximum[r] = fmaxf(maximum[r], __shfl_xor_sync(0xffffffffu, maximum[r], 1));
      maximum[r] = fmaxf(maximum[r], __shfl_xor_sync(0xffffffffu, maximum[r], 2));

      const float c = fabsf(maximum[r] * scale.log2) < kLarge ? scale.log2 : scale.large_log2;
      const float previous = reference[r];
      reference[r] = maximum[r] * c;
      correction[r] = exp2_approximate(previous - reference[r]);
      float block_sum = 0;
#pragma unroll
      for (int j = 0; j < R / 4; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& x = s[4 * j + 2 * r + e];
          x = exp2_approximate(fmaf(x, c, -reference[r]));
          block_sum += x;
        }
      sum[r] = sum[r] * correction[r] + block_sum;
    }
  }

  LIMO_DEVICE void finish() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
    }
  }
  LIMO_DEVICE float lse(int r, float scale) const { return fmaf(maximum[r], scale, logf(sum[r])); }
};

// Causal mask: `hidden` where the key comes after the query. Rows of the next sequence come after it too. S has rows of queries and columns
// of keys.
template <int R>
LIMO_DEVICE void mask_future_keys(float (&s)[R], int first_query, int first_key, float hidden) {
  const int ahead = first_key + accumulator_column() - first_query - accumulator_row();
#pragma unroll
  for (int i = 0; i < R; ++i)
    if (ahead + i / 4 * 8 + i % 2 - i / 2 % 2 * 8 > 0) s[i] = hidden;
}

// The same of Sᵀ, which has rows of keys and columns of queries.
template <int R>
LIMO_DEVICE void mask_past_queries(float (&s)[R], int first_key, int first_query, float hidden) {
  const int ahead = first_key + accumulator_row() - first_query - accumulator_column();
#pragma unroll
  for (int i = 0; i < R; ++i)
    if (ahead + i / 2 % 2 * 8 - i / 4 * 8 - i % 2 > 0) s[i] = hidden;
}

}  // namespace limo::cuda::sm90
