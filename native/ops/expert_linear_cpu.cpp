#include "ops/expert_linear.h"

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {
namespace {

// Rows of an expert's weights that a task multiplies.
constexpr int64_t kRows = 64;

template <class T>
void multiply(const ExpertLinear& op, const CpuContext& context) {
  const int64_t columns = op.x.cols, outputs = op.y.cols, blocks = (outputs + kRows - 1) / kRows;
  parallel_for(context.pool, op.x.rows * blocks, [&](int64_t task, int) {
    const int64_t t = task / blocks, first = task % blocks * kRows;
    const T* const x = op.x.row<T>(t);
    for (int64_t n = first, end = block_end(first, kRows, outputs); n < end; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < op.experts.cols; ++k) {
        const int32_t expert = op.experts.row<int32_t>(t)[k];
        if (expert < 0 || expert >= op.weight.planes) continue;
        const T* const weight = op.weight.plane<T>(expert) + n * columns;
        const float product = sum_vectors(columns, [&](int64_t c, int64_t count, Vec dot) {
          return load_up_to(weight + c, count) * load_up_to(x + c, count) + dot;
        });
        sum += op.weights.row(t)[k] * product;
      }
      store_partial(op.y.row<T>(t) + n, splat(sum), 1);
    }
  });
}

}  // namespace

void run(const ExpertLinear& op, const CpuContext& context) {
  with_element(op.y.dtype, [&](auto element) { multiply<decltype(element)>(op, context); });
}

}  // namespace limo::LIMO_ISA
