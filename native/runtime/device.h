#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/ceiling.h"
#include "runtime/arena.h"
#include "runtime/condition.h"
#include "runtime/program.h"

namespace limo {

struct DeviceInfo {
  int threads = 1;
  std::string instruction_set;  // what kernels are compiled for: avx512, sm_90, …
  std::string description;      // the processor, where the device knows more than that
  size_t scratch_bytes = 0;
  uint64_t refused_products = 0;  // matrix products that the device's library refused so far, and that a slow kernel did
  uint64_t memory_bytes = 0;  // free for arenas when it was opened, where the device has memory of its own
};

// A processor with its own thread, which takes one job after the other, and its own memory.
class Device {
 public:
  virtual ~Device() = default;  // the class of the device has called stop() by then
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  std::shared_ptr<Arena> allocate(size_t bytes, MemoryKind kind = MemoryKind::kDevice);  // throws kOutOfMemory, or kDeviceClosed
  // Queues a job for the device's thread. Throws kDeviceClosed after close().
  void submit(std::function<void()> job);
  // Takes no more jobs. Those that are queued still run, then the memory of all arenas and what the device works with are
  // given back, then `done` is called on the device's thread, which stop() ends.
  void close(std::function<void()> done);
  bool closed() const;
  // Ends the thread: a program stops before its next operation (of a CUDA device, what is queued on it still runs), queued jobs are
  // dropped. For the end of the environment.
  void stop();
  // The same without waiting for it.
  void ask_to_stop();
  bool stopping() const { return stop_.load(std::memory_order_relaxed); }

  virtual Backend backend() const = 0;
  // Whether the device can run a program that is valid in itself: within the limits of its kernels, and on memory that they reach. Memory
  // of other devices is for operations that only move memory. Throws kProgramInvalid.
  void check_program(const Program& program) const;
  // On the device's thread: runs all operations. Throws kInputInvalid when an input is wrong, and then the arenas are as they
  // were; or kAborted when `cancelled` answers true between two operations (on a CUDA device, while they are queued): then gradients
  // and activations are left half done; or kDeviceFailed. The request's inputs are used up.
  RunOutputs run(const Program& program, RunRequest& request, const std::function<bool()>& cancelled);
  // On the device's thread. Measures for about 0.3 s. `small` is for tests: too little work for the rate to mean anything.
  virtual double measure(Ceiling ceiling, bool small) = 0;
  virtual DeviceInfo info() const = 0;

 protected:
  Device() = default;
  // Starts the thread, once the class of the device is ready for jobs.
  void start();
  virtual std::shared_ptr<Arena> make_arena(size_t bytes, MemoryKind kind) = 0;
  virtual RunOutputs run_program(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) = 0;
  // Throws kProgramInvalid for what the device's kernels cannot do.
  virtual void check(const Program&) const = 0;
  // Whether kernels reach the memory.
  virtual bool reaches(const Arena& arena) const = 0;
  // Whether the device can at least copy to and from it.
  virtual bool copies(const Arena& arena) const = 0;
  // On the device's thread, after the last job and when all arenas are released.
  virtual void release() = 0;

 private:
  void add_job(std::function<void()> job, bool is_last);
  void work();

  mutable std::mutex mutex_;
  Condition wake_;
  std::deque<std::function<void()>> jobs_;
  bool closed_ = false;
  std::atomic<bool> stop_{false};
  std::vector<std::weak_ptr<Arena>> arenas_;
  std::thread thread_;
};

}  // namespace limo
