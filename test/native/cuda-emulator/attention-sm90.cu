// Instantiates the attention kernels for the compile check of scripts/check-cuda.mjs.
#include "cuda/attention_sm90_forward.h"

template void limo::cuda::launch_attention_forward_sm90<64>(const limo::cuda::AttentionForwardSm90&);
template void limo::cuda::launch_attention_forward_sm90<128>(const limo::cuda::AttentionForwardSm90&);
