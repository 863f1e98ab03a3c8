#include "fault_case.h"

// Mistakes in how threads meet and wait.
namespace limo::cuda {
namespace {

constexpr int kThreads = 64;
constexpr size_t kSharedBytes = kThreads * sizeof(float) * 2;

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) reverse_kernel(float* out) {
  LIMO_DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!Faulty) __syncthreads();
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) reverse_in_warp_kernel(float* out) {
  LIMO_DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!Faulty) __syncwarp();
  out[threadIdx.x] = values[threadIdx.x ^ 31];
}

// Two groups of copies, of which the second is needed.
template <bool Faulty>
__global__ void __launch_bounds__(kThreads) copy_kernel(float* out, const float* in) {
  LIMO_DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  if (threadIdx.x < kThreads / 4) {
    for (int group = 0; group < 2; ++group) {
      cp_async_16(shared_address(values + group * kThreads + 4 * threadIdx.x), in + group * kThreads + 4 * threadIdx.x, true);
      cp_async_commit();
    }
    cp_async_wait<Faulty ? 1 : 0>();
  }
  __syncthreads();
  out[threadIdx.x] = values[kThreads + threadIdx.x];
}

// The next tile is copied over one that others may still be reading.
template <bool Faulty>
__global__ void __launch_bounds__(kThreads) reuse_kernel(float* out, const float* in) {
  LIMO_DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  float sum = 0;
  for (int tile = 0; tile < 2; ++tile) {
    if (threadIdx.x < kThreads / 4) cp_async_16(shared_address(values + 4 * threadIdx.x), in + tile * kThreads + 4 * threadIdx.x, true);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    sum += values[kThreads - 1 - threadIdx.x];
    if (!Faulty) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) divergent_kernel(float* out) {
  float value = static_cast<float>(threadIdx.x);
  if (Faulty && threadIdx.x % 2 == 0) __syncwarp();
  else value = __shfl_xor_sync(~0u, value, 1);
  if (!Faulty) value = __shfl_xor_sync(~0u, value, 1);
  out[threadIdx.x] = value;
}

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) half_warp_kernel(float* out) {
  float value = static_cast<float>(threadIdx.x);
  if (!Faulty || threadIdx.x % 32 < 16) __syncthreads();
  if (!Faulty || threadIdx.x % 32 >= 16) value = __shfl_xor_sync(~0u, value, 0);
  out[threadIdx.x] = value;
}

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) ended_lane_kernel(float* out) {
  out[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (Faulty && threadIdx.x % 32 == 7) return;
  out[threadIdx.x] = __shfl_sync(~0u, static_cast<float>(threadIdx.x), static_cast<int>(threadIdx.x % 32));
}

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) named_barrier_kernel(float* out) {
  LIMO_DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  if (threadIdx.x < 32) {
    values[threadIdx.x] = static_cast<float>(threadIdx.x);
    named_barrier_arrive(Faulty ? 2 : 1, kThreads);
    values[32 + threadIdx.x] = 32 + static_cast<float>(threadIdx.x);
  } else {
    named_barrier_sync(1, kThreads);
    out[threadIdx.x - 32] = values[threadIdx.x - 32];
  }
  __syncthreads();
  if (threadIdx.x >= 32) out[threadIdx.x] = values[threadIdx.x];
}

template <bool Faulty>
__global__ void __launch_bounds__(kThreads) partial_barrier_kernel(float* out) {
  named_barrier_sync(3, Faulty ? 48 : kThreads);
  out[threadIdx.x] = static_cast<float>(threadIdx.x);
}

bool reversed(void (*kernel)(float*), int group) {
  float* out = to_device(std::vector<float>(kThreads));
  launch(kernel, 1, kThreads, kSharedBytes, nullptr, out);
  const std::vector<float> values = from_device(out, kThreads);
  for (int i = 0; i < kThreads; ++i) {
    if (values[i] != static_cast<float>(i ^ (group - 1))) return false;
  }
  return true;
}

bool copied(void (*kernel)(float*, const float*), float first, float factor) {
  float* out = to_device(std::vector<float>(kThreads));
  launch(kernel, 1, kThreads, kSharedBytes, nullptr, out, to_device(ascending(2 * kThreads)));
  const std::vector<float> values = from_device(out, kThreads);
  for (int i = 0; i < kThreads; ++i) {
    if (values[i] != first + factor * static_cast<float>(i)) return false;
  }
  return true;
}

bool unchanged(void (*kernel)(float*)) { return reversed(kernel, 1); }

constexpr FaultCase kCases[] = {
    {"missing-syncthreads", nullptr, [](bool faulty) { return reversed(faulty ? reverse_kernel<true> : reverse_kernel<false>, kThreads); }},
    {"missing-syncwarp", nullptr,
     [](bool faulty) { return reversed(faulty ? reverse_in_warp_kernel<true> : reverse_in_warp_kernel<false>, 32); }},
    {"wrong-cp-async-wait", nullptr, [](bool faulty) { return copied(faulty ? copy_kernel<true> : copy_kernel<false>, kThreads, 1); }},
    {"tile-overwritten-early", nullptr,
     [](bool faulty) { return copied(faulty ? reuse_kernel<true> : reuse_kernel<false>, 3 * kThreads - 2, -2); }},
    {"divergent-collective", "divergent warp",
     [](bool faulty) { return unchanged(faulty ? divergent_kernel<true> : divergent_kernel<false>); }},
    {"half-warp-barrier", "deadlock", [](bool faulty) { return unchanged(faulty ? half_warp_kernel<true> : half_warp_kernel<false>); }},
    {"ended-lane", "deadlock", [](bool faulty) { return unchanged(faulty ? ended_lane_kernel<true> : ended_lane_kernel<false>); }},
    {"wrong-named-barrier", "deadlock",
     [](bool faulty) { return unchanged(faulty ? named_barrier_kernel<true> : named_barrier_kernel<false>); }},
    {"partial-warp-barrier", "expected whole warps",
     [](bool faulty) { return unchanged(faulty ? partial_barrier_kernel<true> : partial_barrier_kernel<false>); }},
};

}  // namespace

std::span<const FaultCase> thread_faults() { return kCases; }

}  // namespace limo::cuda
