#pragma once

#include "core/ceiling.h"

namespace limo {
class CudaContext;
}

namespace limo::cuda {

// Measured ceilings of the device, timed by CUDA events: operations a second of a large matrix product in float32 or bfloat16 (nothing else
// reaches the arithmetic peak), or bytes a second of z ← z/2 + x, 12 for each element. `small` is for tests: too little work for the rate
// to mean anything.
double measure_ceiling(CudaContext& context, Ceiling ceiling, bool small);

}  // namespace limo::cuda
