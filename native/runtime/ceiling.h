#pragma once

#include "cpu/context.h"
#include "runtime/op_registry.h"

namespace limo {

// The floating-point operations a second that all threads together reach in multiply-adds on registers: the ceiling that
// matrix products are measured against. Takes about a tenth of a second.
double measure_multiply_add_rate(Isa isa, const CpuContext& context);

}  // namespace limo
