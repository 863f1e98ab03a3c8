// Instantiates the attention kernels for the compile check of scripts/check-cuda.mjs.
#include "cuda/attention_sm90_backward.h"
#include "cuda/attention_sm90_forward.h"

namespace limo::cuda {

template void launch_attention_forward_sm90<64>(const AttentionForwardSm90&);
template void launch_attention_forward_sm90<128>(const AttentionForwardSm90&);
template void launch_attention_backward_sm90<64>(const AttentionBackwardSm90&);
template void launch_attention_backward_sm90<128>(const AttentionBackwardSm90&);

}  // namespace limo::cuda
