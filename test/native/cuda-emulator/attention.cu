// The attention kernels, for the compile check of scripts/check-cuda.mjs.
#include "cuda/attention_sm90.h"

namespace limo::cuda {

void instantiate(const AttentionArguments<Bf16>& forward, const AttentionBackwardArguments<Bf16>& backward) {
  attention_forward_sm80(forward, nullptr);
  attention_backward_sm80(backward, nullptr);
  attention_forward_sm90(forward, 132, nullptr);
  attention_backward_sm90(backward, nullptr);
}

}  // namespace limo::cuda
