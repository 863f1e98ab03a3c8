#include "cuda/context.h"

#include <cstdio>
#include <cstring>
#include <string>

#include "core/error.h"
#include "cuda/machine_code.h"

namespace limo {

using cuda::check_cuda;

namespace {

// Pinned staging memory for the transfers of one run: token ids, labels, lists of indices, losses.
constexpr size_t kStagingBytes = 8 << 20;

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

CudaContext::CudaContext(int ordinal) : CudaContext(ordinal, Empty{}) {
  cudaDeviceProp properties{};
  check_cuda(cudaSetDevice(ordinal), "cudaSetDevice");
  check_cuda(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  description_.capability = 10 * properties.major + properties.minor;
  std::snprintf(description_.name, sizeof description_.name, "%s", properties.name);
  if (description_.capability < 80)
    throw Error(ErrorCode::kDeviceUnavailable, "expected a device of compute capability 8.0 or later but " + std::string(properties.name) + " has " +
                                                   std::to_string(properties.major) + "." + std::to_string(properties.minor));
  description_.bytes = properties.totalGlobalMem;
  description_.multiprocessors = properties.multiProcessorCount;
  std::snprintf(description_.code, sizeof description_.code, "%s", cuda::code_for(description_.capability).c_str());
  shared_bytes_ = properties.sharedMemPerBlockOptin;
  for (cudaStream_t& stream : streams_) check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  check_cuda(cudaStreamCreateWithFlags(&memory_stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  check_cuda(cudaMalloc(reinterpret_cast<void**>(&scratch_), kCudaScratchBytes), "allocating the device's working memory of 80 MiB");
  check_cuda(cudaHostAlloc(reinterpret_cast<void**>(&staging_), kStagingBytes, cudaHostAllocDefault), "cudaHostAlloc");
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  description_.free_bytes = free;
  products_ = open_matrix_products(*this);
  std::snprintf(description_.products, sizeof description_.products, "%s", products_->description().c_str());
}

CudaContext::~CudaContext() {
  // Nothing is checked: a device that has failed fails here too, and there is nothing more to be done.
  cudaSetDevice(ordinal_);
  products_.reset();
  cudaFreeHost(staging_);
  cudaFree(scratch_);
  for (const auto& [number, event] : events_)
    if (event) cudaEventDestroy(event);
  for (cudaStream_t stream : streams_)
    if (stream) cudaStreamDestroy(stream);
  if (memory_stream_) cudaStreamDestroy(memory_stream_);
}

void CudaContext::make_current() const { check_cuda(cudaSetDevice(ordinal_), "cudaSetDevice"); }

void CudaContext::begin_run() {
  staged_ = listed_ = 0;
  use(Queue::kCompute);
  downloads_.clear();
  integers_.clear();
  lists_.clear();
}

char* CudaContext::stage(size_t bytes) {
  if (aligned(bytes) > kStagingBytes - staged_) {
    // Staging memory is full, which is rare: wait until the transfers are done, then use it again.
    finish_run();
    staged_ = 0;
  }
  char* room = staging_ + staged_;
  staged_ += aligned(bytes);
  return room;
}

void CudaContext::upload(void* to, const void* from, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const size_t piece = bytes - done < kStagingBytes ? bytes - done : kStagingBytes;
    char* room = stage(piece);
    std::memcpy(room, static_cast<const char*>(from) + done, piece);
    check_cuda(cudaMemcpyAsync(static_cast<char*>(to) + done, room, piece, cudaMemcpyHostToDevice, streams_[0]), "cudaMemcpyAsync to the device");
    done += piece;
  }
}

void CudaContext::download(void* to, const void* from, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const size_t piece = bytes - done < kStagingBytes ? bytes - done : kStagingBytes;
    char* room = stage(piece);
    check_cuda(cudaMemcpyAsync(room, static_cast<const char*>(from) + done, piece, cudaMemcpyDeviceToHost, streams_[0]), "cudaMemcpyAsync to the host");
    downloads_.push_back({static_cast<char*>(to) + done, room, piece});
    done += piece;
  }
}

void CudaContext::finish_run() {
  for (cudaStream_t stream : streams_) check_cuda(cudaStreamSynchronize(stream), "the run");
  for (const auto& [to, from, bytes] : downloads_) std::memcpy(to, from, bytes);
  downloads_.clear();
}

void CudaContext::record(Queue queue, size_t event) {
  cudaEvent_t& known = events_[event];
  if (!known) check_cuda(cudaEventCreateWithFlags(&known, cudaEventDisableTiming), "cudaEventCreate");
  check_cuda(cudaEventRecord(known, streams_[static_cast<size_t>(queue)]), "cudaEventRecord");
}

void CudaContext::wait(Queue queue, size_t event) {
  check_cuda(cudaStreamWaitEvent(streams_[static_cast<size_t>(queue)], events_.at(event), 0), "cudaStreamWaitEvent");
}

void* CudaContext::partial_sums(size_t bytes) const {
  if (bytes > kPartialBytes)
    throw Error(ErrorCode::kInputInvalid, "expected at most " + std::to_string(kPartialBytes) + " bytes of partial sums but received " + std::to_string(bytes));
  return scratch_ + kProductWorkspaceBytes;
}

const void* CudaContext::upload_list(const void* from, size_t bytes) {
  if (aligned(bytes) > kCudaListBytes - listed_)
    throw Error(ErrorCode::kInputInvalid, "expected a run whose lists of indices fit in " + std::to_string(kCudaListBytes) + " bytes on the device; take fewer tokens");
  char* to = scratch_ + kProductWorkspaceBytes + kPartialBytes + listed_;
  listed_ += aligned(bytes);
  upload(to, from, bytes);
  return to;
}

}  // namespace limo
