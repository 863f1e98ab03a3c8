#include "cuda/emulator/runtime.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "cuda/emulator/memory.h"

struct EmulatedStream {};
struct EmulatedEvent {
  std::chrono::steady_clock::time_point time;
};

namespace limo::cuda::emulator {
namespace {

constexpr size_t kSharedWithoutAsking = 48 << 10;

struct State {
  std::mutex mutex;
  uint64_t launches = 0;
  std::string failure;
  cudaError_t sticky = cudaSuccess;
  cudaError_t last = cudaSuccess;
  std::map<const void*, size_t> shared_limits;  // by kernel
};

State& state() {
  static State& value = *new State;
  return value;
}

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

size_t most_shared_bytes() { return capability() >= 90 ? 232448 : 166912; }

// Every call returns the error of a kernel that failed.
cudaError_t sticky() {
  const std::lock_guard lock(state().mutex);
  return state().sticky;
}

// The result of a call, which cudaGetLastError() tells as well.
cudaError_t result(cudaError_t error) {
  const std::lock_guard lock(state().mutex);
  if (state().sticky != cudaSuccess) return state().sticky;
  if (error != cudaSuccess) state().last = error;
  return error;
}

bool is_valid(const Launch& launch, size_t shared_limit) {
  const uint64_t threads = uint64_t{launch.block.x} * launch.block.y * launch.block.z;
  return threads >= 1 && threads <= kMostThreads && launch.grid.x >= 1 && launch.grid.x <= INT32_MAX && launch.grid.y >= 1 &&
         launch.grid.y <= 65535 && launch.grid.z >= 1 && launch.grid.z <= 65535 && launch.shared_bytes <= shared_limit;
}

}  // namespace

cudaError_t launch_kernel(const void* kernel, Launch launch) {
  if (const cudaError_t before = sticky(); before != cudaSuccess) return before;
  State& s = state();
  bool fails;
  {
    const std::lock_guard lock(s.mutex);
    const auto limit = s.shared_limits.find(kernel);
    if (!is_valid(launch, limit == s.shared_limits.end() ? kSharedWithoutAsking : limit->second))
      return s.last = cudaErrorInvalidConfiguration;
    ++s.launches;
    fails = s.launches == number_from_environment("LIMO_EMULATED_FAILED_LAUNCH", 0);
    launch.seed = (s.launches + number_from_environment("LIMO_EMULATED_SEED", 0)) * 0xd1342543de82ef95u;
  }
  std::string error = fails ? "this launch was asked to fail" : run_grid(launch);
  if (error.empty()) error = find_damaged_memory();
  if (error.empty()) return cudaSuccess;
  const std::lock_guard lock(s.mutex);
  s.failure = std::move(error);
  return s.sticky = cudaErrorLaunchFailure;
}

std::string failure() {
  const std::lock_guard lock(state().mutex);
  return state().failure;
}

}  // namespace limo::cuda::emulator

using namespace limo::cuda::emulator;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return result(cudaSuccess);
}

cudaError_t cudaSetDevice(int device) { return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return result(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated device of compute capability %d.%d", capability() / 10,
                capability() % 10);
  properties->major = capability() / 10;
  properties->minor = capability() % 10;
  // Few and odd: a grid that covers the device walks through more than one round of work, the last one incomplete.
  properties->multiProcessorCount = 3;
  properties->totalGlobalMem = device_memory_total();
  properties->sharedMemPerBlockOptin = most_shared_bytes();
  return result(cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = device_memory_free();
  *total = device_memory_total();
  return result(cudaSuccess);
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  *data = nullptr;
  if (const cudaError_t before = sticky(); before != cudaSuccess || bytes == 0) return before;
  *data = allocate_device_memory(bytes);
  return result(*data ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* data) { return result(!data || free_device_memory(data) ? cudaSuccess : cudaErrorInvalidValue); }

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  *data = bytes == 0 ? nullptr : std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return result(bytes == 0 || *data ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return result(cudaSuccess);
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t before = sticky(); before != cudaSuccess || bytes == 0) return before;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (is_device_memory(to, bytes) != to_device || is_device_memory(from, bytes) != from_device) return result(cudaErrorInvalidValue);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  if (const cudaError_t before = sticky(); before != cudaSuccess || bytes == 0) return before;
  if (!is_device_memory(to, bytes)) return result(cudaErrorInvalidValue);
  std::memset(to, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return result(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return result(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return result(cudaSuccess); }

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent;
  return result(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->time = std::chrono::steady_clock::now();
  return result(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t) { return result(cudaSuccess); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return result(cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return result(cudaSuccess);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || static_cast<size_t>(value) > most_shared_bytes()) {
    return result(cudaErrorInvalidValue);
  }
  if (const cudaError_t before = sticky(); before != cudaSuccess) return before;
  const std::lock_guard lock(state().mutex);
  state().shared_limits[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(state().mutex);
  if (state().sticky != cudaSuccess) return state().sticky;
  return std::exchange(state().last, cudaSuccess);
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
  }
  return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
  }
  return "unrecognized error code";
}
