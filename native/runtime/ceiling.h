#pragma once

#include "cpu/context.h"
#include "runtime/op_registry.h"

namespace limo {

// The floating-point operations a second that all threads together reach in multiply-adds on registers: the ceiling that
// matrix products are measured against. Takes about a tenth of a second. With `small` this and the other
// measurements take no time and their results are meaningless: for tests of the code that calls them.
double measure_multiply_add_rate(Isa isa, const CpuContext& context, bool small);

// The same for multiply-adds of bfloat16 summed in float32: where there is an instruction for them (avx512bf16, amx, neonbf16) its rate,
// elsewhere that of float32, to which bfloat16 is widened.
double measure_bf16_multiply_add_rate(Isa isa, const CpuContext& context, bool small);

// The bytes a second that all threads together move in z ← z/2 + x over arrays far larger than the caches (12 bytes for
// each element): the ceiling of operations that memory bounds.
double measure_update_rate(Isa isa, const CpuContext& context, bool small);

// The bytes a second that all threads together read of an array far larger than the caches: the ceiling of generating a token, which
// reads every weight.
double measure_read_rate(Isa isa, const CpuContext& context, bool small);

}  // namespace limo
