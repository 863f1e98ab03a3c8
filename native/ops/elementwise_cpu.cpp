#include "ops/elementwise.h"

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {

void run(const Add& op, const CpuContext& context) {
  for_rows(context, op.out.rows, [&](int64_t t) {
    const float *a = op.a.row(t), *b = op.b.row(t);
    float* out = op.out.row(t);
    for_lanes(
        op.out.cols, [&](int64_t i) { store(out + i, load(a + i) + load(b + i)); },
        [&](int64_t i, int64_t n) { store_partial(out + i, load_partial(a + i, n) + load_partial(b + i, n), n); });
  });
}

void run(const Copy& op, const CpuContext& context) {
  for_rows(context, op.out.rows, [&](int64_t t) {
    __builtin_memmove(op.out.row(t), op.x.row(t), static_cast<size_t>(op.out.cols) * 4);
  });
}

void run(const Zero& op, const CpuContext& context) {
  constexpr int64_t kBlock = 1 << 18;
  parallel_for(context.pool, (op.out.rows + kBlock - 1) / kBlock, [&](int64_t task, int) {
    const int64_t start = task * kBlock, end = block_end(start, kBlock, op.out.rows);
    __builtin_memset(op.out.f32() + start, 0, static_cast<size_t>(end - start) * 4);
  });
}

}  // namespace limo::LIMO_ISA
