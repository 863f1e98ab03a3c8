#include "cuda/elements.h"
#include "cuda/operations.h"
#include "ops/route.h"
#include "ops/route_row.h"

namespace limo::cuda {
namespace {

// A thread has one token.
struct RouteToken {
  using Index = uint32_t;
  int32_t* experts;
  float* weights;
  const float* logits;
  int64_t experts_stride, weights_stride, logits_stride, chosen, count;

  LIMO_DEVICE void operator()(uint32_t t) const {
    int32_t* const own = experts + t * experts_stride;
    const float* const z = logits + t * logits_stride;
    float* const w = weights + t * weights_stride;
    choose_experts(own, z, chosen, count);
    float total = 0;
    for (int64_t k = 0; k < chosen; ++k) {
      w[k] = expf(z[own[k]] - z[own[0]]);
      total += w[k];
    }
    for (int64_t k = 0; k < chosen; ++k) w[k] /= total;
  }
};

}  // namespace

void run(const Route& op, CudaContext& context) {
  for_each(context, op.logits.rows,
           RouteToken{op.experts.i32(), op.weights.f32(), op.logits.f32(), op.experts.row_stride, op.weights.row_stride, op.logits.row_stride,
                      op.experts.cols, op.logits.cols});
}

}  // namespace limo::cuda
