#pragma once

#include "cuda/attention/arguments.h"
#include "cuda/device.h"

// Attention without tensor cores: for float32, and for heads of more than 128 channels. All sums are float32 and in a fixed order. A thread
// block has 64 rows of one head, a warp one row at a time. It goes through the rows of the other kind 32 at a time: first each lane
// computes the score of one of them, then each lane sums its channels over all 32.
namespace limo::cuda::generic {

constexpr int kRows = 64;
constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kMostChannels = 512;
constexpr int kLaneChannels = kMostChannels / 32;

LIMO_DEVICE float to_number(float value) { return value; }
LIMO_DEVICE float to_number(Bf16 value) { return to_float(value); }
LIMO_DEVICE void store_number(float* to, float value) { *to = value; }
LIMO_DEVICE void store_number(Bf16* to, float value) { *to = to_bf16(value); }

LIMO_DEVICE float warp_maximum(float value) {
  for (int distance = 16; distance > 0; distance /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
}

LIMO_DEVICE float warp_sum(float value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// Shared memory of a warp: two rows of a head, and two factors for each of 32 rows.
struct WarpMemory {
  float row[2][kMostChannels];
  float factor[2][32];
};
constexpr size_t kSharedBytes = kWarps * sizeof(WarpMemory);

LIMO_DEVICE WarpMemory& warp_memory(unsigned char* shared) { return reinterpret_cast<WarpMemory*>(shared)[threadIdx.x / 32]; }

template <class T>
LIMO_DEVICE float dot(const float* a, const T* b, int channels) {
  float sum = 0.0f;
  for (int c = 0; c < channels; ++c) sum += a[c] * to_number(b[c]);
  return sum;
}

// delta[t,h] = Σ_c d_out[t,h,c] · out[t,h,c]; a warp for each. Vector load of a lane.
template <class T, int N>
struct alignas(sizeof(T) * N) Numbers {
  T values[N];
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) attention_delta_kernel(AttentionBackwardArguments<T> a) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (number >= a.rows * a.heads) return;
  const int64_t row = number / a.heads, head = number % a.heads;
  const T* d_out = a.d_out + row * a.d_out_stride + head * a.head_dim;
  const T* out = a.out + row * a.out_stride + head * a.head_dim;
  float sum = 0.0f;
  for (int c = static_cast<int>(threadIdx.x % 32) * N; c < a.head_dim; c += 32 * N) {
    const Numbers<T, N> g = *reinterpret_cast<const Numbers<T, N>*>(d_out + c), o = *reinterpret_cast<const Numbers<T, N>*>(out + c);
#pragma unroll
    for (int i = 0; i < N; ++i) sum += to_number(g.values[i]) * to_number(o.values[i]);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) a.delta[row * a.delta_stride + head] = sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads) attention_forward_kernel(AttentionArguments<T> a) {
  LIMO_DYNAMIC_SHARED(shared);
  WarpMemory& memory = warp_memory(shared);
  const Block block = a.query_blocks[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), kv_head = head / (a.heads / a.kv_heads), d = a.head_dim;
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t start = block.first_row;
  const T* k = a.k + start * a.k_stride + kv_head * d;
  const T* v = a.v + start * a.v_stride + kv_head * d;
  const int end = min(block.block * kRows + kRows, block.length);
  for (int query = block.block * kRows + warp; query < end; query += kWarps) {
    const T* q = a.q + (start + query) * a.q_stride + head * d;
    __syncwarp();
    for (int c = lane; c < d; c += 32) memory.row[0][c] = to_number(q[c]);
    __syncwarp();
    float maximum = -INFINITY, sum = 0.0f, out[kLaneChannels] = {};
    for (int first = 0; first <= query; first += 32) {
      const int keys = min(32, query + 1 - first);
      const float score = lane < keys ? dot(memory.row[0], k + (first + lane) * a.k_stride, d) : -INFINITY;
      const float before = maximum;
      maximum = fmaxf(maximum, warp_maximum(score));
      // The maximum is subtracted before the scale is applied: at scores around 1e32 a fused scale·score − scale·maximum would be a
      // rounding error far from 0, even at the maximum.
      const float p = expf((score - maximum) * a.scale), rescale = expf((before - maximum) * a.scale);
      sum = sum * rescale + warp_sum(p);
      memory.factor[0][lane] = p;
      __syncwarp();
#pragma unroll
      for (int i = 0; i < kLaneChannels; ++i) {
        const int c = i * 32 + lane;
        if (c >= d) break;
        out[i] *= rescale;
        for (int key = 0; key < keys; ++key) out[i] += memory.factor[0][key] * to_number(v[(first + key) * a.v_stride + c]);
      }
      __syncwarp();
    }
    T* to = a.out + (start + query) * a.out_stride + head * d;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      if (i * 32 + lane < d) store_number(to + i * 32 + lane, out[i] / sum);
    }
    if (lane == 0) a.lse[(start + query) * a.lse_stride + head] = maximum * a.scale + logf(sum);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) attention_backward_queries_kernel(AttentionBackwardArguments<T> a) {
  LIMO_DYNAMIC_SHARED(shared);
  WarpMemory& memory = warp_memory(shared);
  const Block block = a.query_blocks[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), kv_head = head / (a.heads / a.kv_heads), d = a.head_dim;
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t start = block.first_row;
  const T* k = a.k + start * a.k_stride + kv_head * d;
  const T* v = a.v + start * a.v_stride + kv_head * d;
  const int end = min(block.block * kRows + kRows, block.length);
  for (int query = block.block * kRows + warp; query < end; query += kWarps) {
    const int64_t row = start + query;
    __syncwarp();
    for (int c = lane; c < d; c += 32) {
      memory.row[0][c] = to_number(a.q[row * a.q_stride + head * d + c]);
      memory.row[1][c] = to_number(a.d_out[row * a.d_out_stride + head * d + c]);
    }
    __syncwarp();
    const float lse = a.lse[row * a.lse_stride + head], delta = a.delta[row * a.delta_stride + head];
    float d_q[kLaneChannels] = {};
    for (int first = 0; first <= query; first += 32) {
      const int keys = min(32, query + 1 - first);
      if (lane < keys) {
        const float p = expf(dot(memory.row[0], k + (first + lane) * a.k_stride, d) * a.scale - lse);
        memory.factor[0][lane] = p * (dot(memory.row[1], v + (first + lane) * a.v_stride, d) - delta) * a.scale;
      }
      __syncwarp();
#pragma unroll
      for (int i = 0; i < kLaneChannels; ++i) {
        const int c = i * 32 + lane;
        if (c >= d) break;
        for (int key = 0; key < keys; ++key) d_q[i] += memory.factor[0][key] * to_number(k[(first + key) * a.k_stride + c]);
      }
      __syncwarp();
    }
    T* to = a.d_q + row * a.d_q_stride + head * d;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      if (i * 32 + lane < d) store_number(to + i * 32 + lane, d_q[i]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) attention_backward_keys_kernel(AttentionBackwardArguments<T> a) {
  LIMO_DYNAMIC_SHARED(shared);
  WarpMemory& memory = warp_memory(shared);
  const Block block = a.key_blocks[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y), group = a.heads / a.kv_heads, d = a.head_dim;
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t start = block.first_row;
  const int end = min(block.block * kRows + kRows, block.length);
  for (int key = block.block * kRows + warp; key < end; key += kWarps) {
    __syncwarp();
    for (int c = lane; c < d; c += 32) {
      memory.row[0][c] = to_number(a.k[(start + key) * a.k_stride + kv_head * d + c]);
      memory.row[1][c] = to_number(a.v[(start + key) * a.v_stride + kv_head * d + c]);
    }
    __syncwarp();
    float d_k[kLaneChannels] = {}, d_v[kLaneChannels] = {};
    for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const T* q = a.q + start * a.q_stride + head * d;
      const T* d_out = a.d_out + start * a.d_out_stride + head * d;
      for (int first = key; first < block.length; first += 32) {
        const int queries = min(32, block.length - first);
        if (lane < queries) {
          const int64_t row = start + first + lane;
          const float p = expf(dot(memory.row[0], q + (first + lane) * a.q_stride, d) * a.scale - a.lse[row * a.lse_stride + head]);
          const float d_p = dot(memory.row[1], d_out + (first + lane) * a.d_out_stride, d);
          memory.factor[0][lane] = p;
          memory.factor[1][lane] = p * (d_p - a.delta[row * a.delta_stride + head]) * a.scale;
        }
        __syncwarp();
#pragma unroll
        for (int i = 0; i < kLaneChannels; ++i) {
          const int c = i * 32 + lane;
          if (c >= d) break;
          for (int query = 0; query < queries; ++query) {
            d_v[i] += memory.factor[0][query] * to_number(d_out[(first + query) * a.d_out_stride + c]);
            d_k[i] += memory.factor[1][query] * to_number(q[(first + query) * a.q_stride + c]);
          }
        }
        __syncwarp();
      }
    }
    T* to_d_k = a.d_k + (start + key) * a.d_k_stride + kv_head * d;
    T* to_d_v = a.d_v + (start + key) * a.d_v_stride + kv_head * d;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      if (i * 32 + lane >= d) break;
      store_number(to_d_k + i * 32 + lane, d_k[i]);
      store_number(to_d_v + i * 32 + lane, d_v[i]);
    }
  }
}

}  // namespace limo::cuda::generic
