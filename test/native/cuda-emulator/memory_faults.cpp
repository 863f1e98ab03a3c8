#include "fault_case.h"

// Mistakes in addresses.
namespace limo::cuda {
namespace {

constexpr int kThreads = 32;
constexpr int kElements = 1000;
constexpr size_t kSharedBytes = 3000;  // not a multiple of the alignment: the guard page is further away

__global__ void fill_kernel(float* out, int offset, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) out[offset + i] = 1;
}

// Stores one number at some byte of shared memory and reads it back.
__global__ void shared_store_kernel(float* out, int byte) {
  LIMO_DYNAMIC_SHARED(shared);
  if (threadIdx.x != 0) return;
  *reinterpret_cast<volatile float*>(shared + byte) = 1;
  out[0] = *reinterpret_cast<volatile float*>(shared + byte);
}

__global__ void shared_read_kernel(float* out, bool store) {
  LIMO_DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  if (store) values[threadIdx.x] = 1;
  __syncwarp();
  out[threadIdx.x] = values[0];
}

__global__ void vector_kernel(float* out, const float* in, int offset) {
  reinterpret_cast<float4*>(out)[threadIdx.x] = *reinterpret_cast<const float4*>(in + offset);
}

__global__ void copy_kernel(float* out, const float* in, int from_offset, int to_byte) {
  LIMO_DYNAMIC_SHARED(shared);
  cp_async_16(shared_address(shared) + to_byte, in + from_offset, true);
  cp_async_commit();
  cp_async_wait<0>();
  out[threadIdx.x] = *reinterpret_cast<const float*>(shared);
}

__global__ void load_matrix_kernel(float* out, int byte) {
  LIMO_DYNAMIC_SHARED(shared);
  *reinterpret_cast<uint4*>(shared + 16 * threadIdx.x) = make_uint4(0x3f800000, 0, 0, 0);
  __syncwarp();
  uint32_t r[4];
  ldmatrix_x4(r, shared_address(shared) + 16 * threadIdx.x + byte);
  out[threadIdx.x] = threadIdx.x % 4 == 0 ? __uint_as_float(r[0]) : 1;
}

__global__ void recursive_kernel(float* out, int depth) {
  const auto recurse = [](const auto& self, int left) -> float {
    volatile float room[256];
    room[left % 256] = static_cast<float>(left);
    return left == 0 ? 1 : self(self, left - 1) + room[left % 256] - static_cast<float>(left);
  };
  out[threadIdx.x] = recurse(recurse, depth);
}

float* ones() { return to_device(std::vector<float>(kElements, 1)); }

bool is_one(const float* out) { return from_device(out, 1)[0] == 1; }

bool stores(int offset, int count) {
  float* out = ones();
  launch(fill_kernel, 1, kThreads, 0, nullptr, out, offset, count);
  return is_one(out);
}

bool stores_shared(int byte) {
  float* out = ones();
  launch(shared_store_kernel, 1, kThreads, kSharedBytes, nullptr, out, byte);
  return is_one(out);
}

bool copies(int from_offset, int to_byte) {
  float* out = ones();
  launch(copy_kernel, 1, kThreads, kSharedBytes, nullptr, out, ones(), from_offset, to_byte);
  return is_one(out);
}

constexpr FaultCase kCases[] = {
    // Against the guard page as far as alignment allows: the number just after the last is found when the kernel ends.
    {"global-store-past-the-end", "just outside of an allocation of 4000 bytes",
     [](bool faulty) { return stores(0, kElements + (faulty ? 1 : 0)); }},
    {"global-store-far-past-the-end", "past the end of an allocation of 4000 bytes",
     [](bool faulty) { return stores(faulty ? 64 : 0, kElements); }},
    {"global-store-before-the-start", "before the start of an allocation of 4000 bytes",
     [](bool faulty) { return stores(faulty ? -1024 : 0, kElements - 4); }},
    {"null-pointer", "null pointer",
     [](bool faulty) {
       float* out = ones();
       launch(fill_kernel, 1, kThreads, 0, nullptr, faulty ? nullptr : out, 0, 1);
       return is_one(out);
     }},
    {"shared-store-past-the-end", "just outside of the 3000 bytes of shared memory",
     [](bool faulty) { return stores_shared(faulty ? kSharedBytes : kSharedBytes - 4); }},
    {"shared-store-far-past-the-end", "past the end of the shared memory of 3000 bytes",
     [](bool faulty) { return stores_shared(faulty ? 4096 : 0); }},
    {"shared-store-before-the-start", "just outside of the 3000 bytes of shared memory",
     [](bool faulty) { return stores_shared(faulty ? -4 : 0); }},
    {"uninitialised-shared-memory", nullptr,
     [](bool faulty) {
       float* out = ones();
       launch(shared_read_kernel, 1, kThreads, kSharedBytes, nullptr, out, !faulty);
       return is_one(out);
     }},
    {"misaligned-vector", "not aligned",
     [](bool faulty) {
       float* out = ones();
       launch(vector_kernel, 1, kThreads, 0, nullptr, out, ones(), faulty ? 1 : 4);
       return is_one(out);
     }},
    {"misaligned-copy", "multiple of 16", [](bool faulty) { return copies(faulty ? 1 : 4, 0); }},
    {"misaligned-copy-destination", "multiple of 16", [](bool faulty) { return copies(0, faulty ? 8 : 0); }},
    {"copy-past-the-end", "inside of shared memory's 3000", [](bool faulty) { return copies(0, faulty ? 2992 : 0); }},
    {"ldmatrix-past-the-end", "inside of shared memory's 3000",
     [](bool faulty) {
       float* out = ones();
       launch(load_matrix_kernel, 1, kThreads, kSharedBytes, nullptr, out, faulty ? 2512 : 0);
       return is_one(out);
     }},
    {"stack-overflow", "stack",
     [](bool faulty) {
       float* out = ones();
       launch(recursive_kernel, 1, kThreads, 0, nullptr, out, faulty ? 1000 : 10);
       return is_one(out);
     }},
    {"too-much-shared-memory", "shared memory",
     [](bool faulty) {
       float* out = ones();
       launch(shared_store_kernel, 1, kThreads, faulty ? 240000 : 200000, nullptr, out, 0);
       return is_one(out);
     }},
    {"too-many-threads", "cudaErrorInvalidConfiguration",
     [](bool faulty) {
       float* out = ones();
       launch(fill_kernel, 1, faulty ? 1056 : 1024, 0, nullptr, out, 0, 1);
       return is_one(out);
     }},
};

}  // namespace

std::span<const FaultCase> memory_faults() { return kCases; }

}  // namespace limo::cuda
