#pragma once

#include <cstddef>
#include <string>

#include "core/error.h"
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

// Whether kernels can run an operation with operands of these largest sizes: throws kProgramInvalid. Returns the bytes that its lists of
// indices take at most.
template <class Op>
size_t check_limits(const Op&, const CudaContext&) {
  return 0;
}

// A grid's second dimension has a block for each head. Throws kProgramInvalid.
template <class Op>
void check_heads(const Op& op) {
  constexpr int64_t kMostHeads = 65535;
  if (op.q.cols > kMostHeads * static_cast<int64_t>(op.head_dim))
    throw Error(ErrorCode::kProgramInvalid, "expected at most " + std::to_string(kMostHeads) + " heads but received " +
                                                std::to_string(op.q.cols / static_cast<int64_t>(op.head_dim)));
}

template <> size_t check_limits(const Add&, const CudaContext&);
template <> size_t check_limits(const Copy&, const CudaContext&);
template <> size_t check_limits(const Embedding&, const CudaContext&);
template <> size_t check_limits(const EmbeddingBackward&, const CudaContext&);
template <> size_t check_limits(const RmsNormBackward&, const CudaContext&);
template <> size_t check_limits(const HeadNormBackward&, const CudaContext&);
template <> size_t check_limits(const LinearBackwardWeight&, const CudaContext&);
template <> size_t check_limits(const RotaryTable&, const CudaContext&);
template <> size_t check_limits(const Rope&, const CudaContext&);
template <> size_t check_limits(const Swiglu&, const CudaContext&);
template <> size_t check_limits(const SwigluBackward&, const CudaContext&);
template <> size_t check_limits(const Attention&, const CudaContext&);
template <> size_t check_limits(const AttentionBackward&, const CudaContext&);
template <> size_t check_limits(const LinearCrossEntropy&, const CudaContext&);
template <> size_t check_limits(const CacheAppend&, const CudaContext&);
template <> size_t check_limits(const AttentionPrefill&, const CudaContext&);
template <> size_t check_limits(const AttentionDecode&, const CudaContext&);
template <> size_t check_limits(const ExpertLinear&, const CudaContext&);

}  // namespace limo::cuda
