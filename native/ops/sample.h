#pragma once

#include "runtime/op_spec.h"

namespace limo {

// The largest vocabulary: ids that a float32 holds exactly, and candidates that fit a thread's working memory.
constexpr int64_t kMostSampled = 500'000;

// Chooses the next token of each sequence from its logits, in the order of Hugging Face's processors:
//   1. penalty p of tokens that are marked in `seen` (Keskar et al., "CTRL", 2019): z ← z/p if z > 0, else z·p
//   2. temperature 0: the largest z; of equal ones the smallest id. Otherwise weights w = exp((z − max z) / temperature)
//   3. of the tokens in falling order of z, then rising id, those before rank top_k (0: all)
//   4. of these the first whose weights before them sum to less than top_p of all of theirs (Holtzman et al., "The Curious Case of
//      Neural Text Degeneration", 2020); always at least one
//   5. of these those with w ≥ min_p
//   6. the token at which the running sum of the weights, in the order of ids, passes uniform · their sum
// Weights are summed as multiples of 2⁻⁴⁰, so no order of additions changes a choice; what is smaller is never chosen. A row with a
// number that is not finite, be it after the penalty, gives token −1 and logprob 0. An option beyond its range counts as the nearest
// in it.
struct Sample {
  static constexpr const char* kName = "sample";
  Tensor token;        // [S], written: the id, as a float32
  Tensor logprob;      // [S], written: log softmax(z)[token], after the penalty and whatever the temperature
  Tensor logits;       // [S, V], updated: the penalty is left in it
  Tensor temperature;  // [S], ≥ 0
  Tensor top_k;        // [S], a whole number
  Tensor top_p;        // [S], in (0, 1]
  Tensor min_p;        // [S], in [0, 1]
  Tensor uniform;      // [S], in [0, 1)
  Tensor penalty;      // [S], > 0; together with seen
  Tensor seen;         // [S, B] int32, B = ⌈V/32⌉: bit v % 32 of word v / 32 marks token v

  static constexpr OperandSpec<Sample> kOperands[] = {
      {"token", &Sample::token, Access::kWrite, "S", ElementType::kF32},
      {"logprob", &Sample::logprob, Access::kWrite, "S", ElementType::kF32},
      {"logits", &Sample::logits, Access::kReadWrite, "S V", ElementType::kF32},
      {"temperature", &Sample::temperature, Access::kRead, "S", ElementType::kF32},
      {"top_k", &Sample::top_k, Access::kRead, "S", ElementType::kF32},
      {"top_p", &Sample::top_p, Access::kRead, "S", ElementType::kF32},
      {"min_p", &Sample::min_p, Access::kRead, "S", ElementType::kF32},
      {"uniform", &Sample::uniform, Access::kRead, "S", ElementType::kF32},
      {"penalty", &Sample::penalty, Access::kRead, "S", ElementType::kF32, true},
      {"seen", &Sample::seen, Access::kRead, "S B", ElementType::kI32, true},
  };
};

}  // namespace limo
