#include "cuda/elements.h"
#include "cuda/operations.h"
namespace limo::cuda {
void run(const Attention&, CudaContext&) { throw Error(ErrorCode::kProgramInvalid, "not yet"); }
void run(const AttentionBackward&, CudaContext&) { throw Error(ErrorCode::kProgramInvalid, "not yet"); }
}
