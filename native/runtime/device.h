#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/arena.h"
#include "runtime/op_registry.h"
#include "runtime/thread_pool.h"

namespace limo {

// The CPU as a device: a thread that takes one job after the other, its pool of threads, and their working memory.
class CpuDevice {
 public:
  CpuDevice(int threads, Isa isa);
  ~CpuDevice();

  std::shared_ptr<Arena> allocate(size_t bytes);  // throws kOutOfMemory, or kDeviceClosed
  // Queues a job for the device's thread. Throws kDeviceClosed after close().
  void submit(std::function<void()> job);
  // Takes no more jobs. Those that are queued still run, then the pool's threads end and the memory of all arenas is given
  // back, then `done` is called on the device's thread, which stop() ends.
  void close(std::function<void()> done);
  bool closed() const;
  // Ends the thread: a program stops before its next operation, queued jobs are dropped. For the end of the environment.
  void stop();
  bool stopping() const { return stop_.load(std::memory_order_relaxed); }

  int threads() const { return pool_.threads(); }
  Isa isa() const { return isa_; }
  size_t scratch_bytes() const { return scratch_.bytes(); }
  CpuContext context() { return {pool_, scratch_.data()}; }

 private:
  void work();

  const Isa isa_;
  ThreadPool pool_;
  Arena scratch_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool closed_ = false;
  std::atomic<bool> stop_{false};
  std::vector<std::weak_ptr<Arena>> arenas_;
  std::thread thread_;
};

}  // namespace limo
