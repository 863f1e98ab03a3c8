#pragma once

#include "core/tensor.h"

namespace limo {

// One token of `route`, in plain loops: K is some eight and E some hundred. `LIMO_ROUTE_DEVICE` is what a function of a kernel needs.
#if defined(LIMO_DEVICE)
#define LIMO_ROUTE_INLINE LIMO_DEVICE
#else
#define LIMO_ROUTE_INLINE LIMO_INLINE
#endif

// Whether logit a of expert i comes before logit b of expert j.
LIMO_ROUTE_INLINE bool comes_before(float a, int32_t i, float b, int32_t j) {
  const bool a_is_nan = a != a, b_is_nan = b != b;
  if (a_is_nan || b_is_nan) return a_is_nan == b_is_nan ? i < j : b_is_nan;
  return a > b || (a == b && i < j);
}

// experts[0, chosen) of logits[0, count): each the first of those that come after the one before it.
LIMO_ROUTE_INLINE void choose_experts(int32_t* experts, const float* logits, int64_t chosen, int64_t count) {
  int32_t before = -1;
  float before_logit = 0;
  for (int64_t k = 0; k < chosen; ++k) {
    int32_t best = -1;
    float best_logit = 0;
    for (int32_t e = 0; e < count; ++e) {
      const float logit = logits[e];
      const bool is_left = before < 0 || comes_before(before_logit, before, logit, e);
      if (!is_left || (best >= 0 && !comes_before(logit, e, best_logit, best))) continue;
      best = e;
      best_logit = logit;
    }
    experts[k] = before = best < 0 ? 0 : best;
    before_logit = best_logit;
  }
}

}  // namespace limo
