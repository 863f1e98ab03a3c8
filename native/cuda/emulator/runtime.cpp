#include "cuda/emulator/runtime.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "cuda/emulator/memory.h"

// A stream is asynchronous from when an event ties it to another until the host waits for it. Only one thread uses such streams, as it does
// those of a CudaContext.
struct EmulatedStream {
  bool is_asynchronous = false;
  std::deque<std::function<void()>> work;
  uint64_t queued = 0, done = 0;
};
struct EmulatedEvent {
  std::chrono::steady_clock::time_point time;
  EmulatedStream* stream = nullptr;  // null: never recorded
  uint64_t position = 0;             // work of the stream that comes before
};

namespace limo::cuda::emulator {
namespace {

constexpr size_t kSharedWithoutAsking = 48 << 10;

struct State {
  std::mutex mutex;
  uint64_t launches = 0, queued = 0;
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

// Does the work of a stream up to a position.
void run_until(EmulatedStream& stream, uint64_t position) {
  while (stream.done < position) {
    const auto work = std::move(stream.work.front());
    stream.work.pop_front();
    ++stream.done;
    work();
  }
}

// Does work now, or in the order of its stream at some later time.
void do_in_order(cudaStream_t stream, std::function<void()> work) {
  if (!stream || !stream->is_asynchronous) return work();
  stream->work.push_back(std::move(work));
  ++stream->queued;
  uint64_t chance;
  {
    const std::lock_guard lock(state().mutex);
    chance = (++state().queued + number_from_environment("LIMO_EMULATED_SEED", 0)) * 0xd1342543de82ef95u >> 62;
  }
  if (chance == 0) run_until(*stream, stream->queued);
}

cudaError_t copy_rows(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t rows, cudaMemcpyKind kind) {
  if (const cudaError_t before = sticky(); before != cudaSuccess || width == 0 || rows == 0) return before;
  const size_t to_bytes = (rows - 1) * to_pitch + width, from_bytes = (rows - 1) * from_pitch + width;
  if (kind != cudaMemcpyDefault) {
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (is_device_memory(to, to_bytes) != to_device || is_device_memory(from, from_bytes) != from_device) return result(cudaErrorInvalidValue);
  }
  for (size_t row = 0; row < rows; ++row)
    std::memmove(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  return cudaSuccess;
}

cudaError_t run_kernel(const Launch& launch, bool fails) {
  if (const cudaError_t before = sticky(); before != cudaSuccess) return before;
  std::string error = fails ? "this launch was asked to fail" : run_grid(launch);
  if (error.empty()) error = find_damaged_memory();
  if (error.empty()) return cudaSuccess;
  const std::lock_guard lock(state().mutex);
  state().failure = std::move(error);
  return state().sticky = cudaErrorLaunchFailure;
}

}  // namespace

cudaError_t launch_kernel(const void* kernel, cudaStream_t stream, Launch launch, std::shared_ptr<const void> arguments) {
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
  if (!stream || !stream->is_asynchronous) return run_kernel(launch, fails);
  do_in_order(stream, [launch, fails, arguments = std::move(arguments)] { run_kernel(launch, fails); });
  return cudaSuccess;
}

void queue_work(cudaStream_t stream, std::function<void()> work) {
  if (sticky() == cudaSuccess) do_in_order(stream, std::move(work));
}

void fail_device(cudaError_t error, const char* message) {
  const std::lock_guard lock(state().mutex);
  state().failure = message;
  state().sticky = error;
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

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) { return copy_rows(to, bytes, from, bytes, bytes, 1, kind); }

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t rows, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return result(cudaErrorInvalidValue);
  if (!stream || !stream->is_asynchronous) return copy_rows(to, to_pitch, from, from_pitch, width, rows, kind);
  do_in_order(stream, [=] { copy_rows(to, to_pitch, from, from_pitch, width, rows, kind); });
  return sticky();
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t before = sticky(); before != cudaSuccess || bytes == 0) return before;
  if (!is_device_memory(to, bytes)) return result(cudaErrorInvalidValue);
  do_in_order(stream, [=] { std::memset(to, value, bytes); });
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

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (!stream) return result(cudaSuccess);
  run_until(*stream, stream->queued);
  stream->is_asynchronous = false;
  return result(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  // An event that was never recorded is no reason to wait.
  if (!event->stream) return result(cudaSuccess);
  stream->is_asynchronous = true;
  do_in_order(stream, [awaited = event->stream, position = event->position] { run_until(*awaited, position); });
  return result(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent;
  return result(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  event->position = stream->queued;
  event->time = std::chrono::steady_clock::now();
  stream->is_asynchronous = true;
  return result(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream) run_until(*event->stream, event->position);
  event->time = std::chrono::steady_clock::now();
  return result(cudaSuccess);
}

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
    case cudaErrorMisalignedAddress: return "cudaErrorMisalignedAddress";
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
    case cudaErrorMisalignedAddress: return "misaligned address";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
  }
  return "unrecognized error code";
}
