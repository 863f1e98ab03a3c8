#include "cuda/elements.h"

namespace limo::cuda {
namespace {

struct AddPartialSums {
  float* to;
  const float* partial;
  int64_t parts, columns;

  LIMO_DEVICE void operator()(uint32_t i) const {
    float sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += partial[part * columns + i];
    to[i] += sum;
  }
};

}  // namespace

void add_partial_sums(const CudaContext& context, float* to, const float* partial, int64_t parts, int64_t columns) {
  for_each(context, columns, AddPartialSums{to, partial, parts, columns});
}

}  // namespace limo::cuda
