#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/queue.h"
#include "core/tensor.h"
#include "cuda/description.h"
#include "cuda/products/products.h"
#include "cuda/runtime.h"

namespace limo {

// Parts of kCudaScratchBytes: working memory of matrix products, of sums that blocks of threads share, and lists of indices.
constexpr size_t kProductWorkspaceBytes = 32 << 20;
constexpr size_t kPartialBytes = 32 << 20;
static_assert(kProductWorkspaceBytes + kPartialBytes + kCudaListBytes == kCudaScratchBytes);

// A CUDA device as operations see it: a stream, working memory, and what is known of the run at hand.
class CudaContext {
 public:
  explicit CudaContext(int ordinal);  // throws kDeviceUnavailable
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  const CudaDescription& description() const { return description_; }
  // Of the queue in use.
  cudaStream_t stream() const { return streams_[queue_]; }
  // A second stream, for clearing new memory: no run uses it yet, so the memset need not wait for runs.
  cudaStream_t memory_stream() const { return memory_stream_; }
  // 80, 90, …
  int capability() const { return description_.capability; }
  int multiprocessors() const { return description_.multiprocessors; }
  // Shared memory that a block of threads may have.
  size_t shared_bytes() const { return shared_bytes_; }
  MatrixProducts& products() { return *products_; }
  char* product_workspace() const { return scratch_; }

  // Working memory of one operation for sums that are added up by another kernel. Throws kInputInvalid above kPartialBytes.
  template <class T>
  T* partial_sums(int64_t count) const {
    return static_cast<T*>(partial_sums(static_cast<size_t>(count) * sizeof(T)));
  }

  // The integers of an operand on the host: token ids, labels, bounds of sequences are known there before a run.
  const int32_t* integers(const Tensor& operand) const { return integers_.at(operand.data); }

  template <class T>
  struct List {
    const T* data;  // on the device
    int64_t count;
  };

  // A list that is made of the integers of an operand: made and copied to the device once a run, and the same for every
  // operation after. `kind` tells lists of one operand apart.
  template <class T>
  List<T> list(const Tensor& operand, int kind, const std::function<std::vector<T>()>& make) {
    const auto [known, fresh] = lists_.try_emplace({operand.data, kind}, nullptr, 0);
    if (fresh) {
      const std::vector<T> values = make();
      known->second = {upload_list(values.data(), values.size() * sizeof(T)), static_cast<int64_t>(values.size())};
    }
    return {static_cast<const T*>(known->second.first), known->second.second};
  }

  // A run, as in CudaApi.
  void make_current() const;  // on the calling thread
  void begin_run();
  void know_integers(const void* device, const int32_t* host) { integers_[device] = host; }
  void upload(void* to, const void* from, size_t bytes);
  void download(void* to, const void* from, size_t bytes);
  void finish_run();

  // The queue that operations go to; the compute queue at the start of a run, and for uploads and downloads.
  void use(Queue queue) { queue_ = static_cast<size_t>(queue); }
  void record(Queue queue, size_t event);
  void wait(Queue queue, size_t event);

 private:
  struct Download {
    void* to;
    const char* from;
    size_t bytes;
  };

  // Delegated to first, acquires nothing: once it has returned, the destructor runs whatever the public constructor throws.
  struct Empty {};
  CudaContext(int ordinal, Empty) : ordinal_(ordinal) {}

  void* partial_sums(size_t bytes) const;
  const void* upload_list(const void* from, size_t bytes);
  // Room in the pinned staging memory, which the device reads and writes asynchronously.
  char* stage(size_t bytes);

  const int ordinal_;
  CudaDescription description_;
  size_t shared_bytes_ = 0;
  cudaStream_t streams_[kQueues] = {}, memory_stream_ = nullptr;
  size_t queue_ = 0;
  std::map<size_t, cudaEvent_t> events_;  // by number
  char* scratch_ = nullptr;
  char* staging_ = nullptr;
  size_t staged_ = 0, listed_ = 0;
  std::vector<Download> downloads_;
  std::map<const void*, const int32_t*> integers_;
  std::map<std::pair<const void*, int>, std::pair<const void*, int64_t>> lists_;
  std::unique_ptr<MatrixProducts> products_;
};

}  // namespace limo
