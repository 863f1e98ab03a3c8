#include "ops/elementwise.h"

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace limo::LIMO_ISA {
namespace {

// Elements that a task of a flat array takes.
constexpr int64_t kBlock = 1 << 18;

template <class T>
void add_rows(const Add& op, const CpuContext& context) {
  for_rows(context, op.out.rows, [&](int64_t t) {
    const T *a = op.a.row<T>(t), *b = op.b.row<T>(t);
    T* out = op.out.row<T>(t);
    for_lanes(
        op.out.cols, [&](int64_t i) { store(out + i, load(a + i) + load(b + i)); },
        [&](int64_t i, int64_t n) { store_partial(out + i, load_partial(a + i, n) + load_partial(b + i, n), n); });
  });
}

}  // namespace

void run(const Add& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) { add_rows<decltype(element)>(op, context); });
}

void run(const Copy& op, const CpuContext& context) {
  with_element(op.out.dtype, [&](auto element) {
    using T = decltype(element);
    for_rows(context, op.out.rows,
             [&](int64_t t) { __builtin_memmove(op.out.row<T>(t), op.x.row<T>(t), static_cast<size_t>(op.out.cols) * sizeof(T)); });
  });
}

void run(const Cast& op, const CpuContext& context) {
  parallel_for(context.pool, (op.out.rows + kBlock - 1) / kBlock, [&](int64_t task, int) {
    const int64_t start = task * kBlock, count = block_end(start, kBlock, op.out.rows) - start;
    Bf16* const out = op.out.row<Bf16>(start);
    const float* const x = op.x.f32() + start;
    for_lanes(
        count, [&](int64_t i) { store(out + i, load(x + i)); },
        [&](int64_t i, int64_t n) { store_partial(out + i, load_partial(x + i, n), n); });
  });
}

void run(const Zero& op, const CpuContext& context) {
  parallel_for(context.pool, (op.out.rows + kBlock - 1) / kBlock, [&](int64_t task, int) {
    const int64_t start = task * kBlock, end = block_end(start, kBlock, op.out.rows);
    __builtin_memset(op.out.f32() + start, 0, static_cast<size_t>(end - start) * 4);
  });
}

}  // namespace limo::LIMO_ISA
