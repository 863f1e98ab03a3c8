#include "ops/route.h"

#include "cpu/blocks.h"
#include "cpu/simd.h"
#include "ops/route_row.h"

namespace limo::LIMO_ISA {

void run(const Route& op, const CpuContext& context) {
  const int64_t chosen = op.experts.cols;
  for_rows(context, op.logits.rows, [&](int64_t t) {
    int32_t* const experts = op.experts.row<int32_t>(t);
    const float* const logits = op.logits.row(t);
    float* const weights = op.weights.row(t);
    choose_experts(experts, logits, chosen, op.logits.cols);
    float total = 0;
    for (int64_t k = 0; k < chosen; ++k) {
      float e[kLanes];
      store(e, exponential(splat(logits[experts[k]] - logits[experts[0]])));
      weights[k] = e[0];
      total += weights[k];
    }
    for (int64_t k = 0; k < chosen; ++k) weights[k] /= total;
  });
}

}  // namespace limo::LIMO_ISA
