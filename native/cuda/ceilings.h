#pragma once

#include "core/ceiling.h"

namespace limo {
class CudaContext;
}

namespace limo::cuda {

// What limits operations on the device, by CUDA's events: operations a second of a large matrix product in float32 or bfloat16 (the
// device reaches its arithmetic peak in nothing else), or bytes a second of z ← z/2 + x, 12 for each element. `small` takes no time.
double measure_ceiling(CudaContext& context, Ceiling ceiling, bool small);

}  // namespace limo::cuda
