#pragma once

#include "ops/op_list.h"

namespace limo {
class CudaContext;
}

// Every operation on a CUDA device: checks and meaning are those of its header, the operands lie on the device, and the work is
// queued on the context's stream.
namespace limo::cuda {

#define LIMO_DECLARE(Op) void run(const Op&, CudaContext&);
LIMO_FOR_EACH_OP(LIMO_DECLARE)
#undef LIMO_DECLARE

}  // namespace limo::cuda
