#include "runtime/thread_pool.h"

#include <chrono>
#include <string>
#include <system_error>

#include "core/error.h"

namespace limo {
namespace {

// A worker that has just finished looks this long for the next piece of work before it sleeps: the operations of a step
// follow each other within microseconds and waking a sleeping thread takes about 50 µs. Between steps nothing spins.
constexpr auto kSpin = std::chrono::microseconds(100);

inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads < 1 ? 1 : threads) {
  try {
    for (int thread = 1; thread < threads_; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error& error) {
    stop();  // the destructor of an object that was never made does not run, and the threads wait on its members
    throw Error(ErrorCode::kOutOfMemory, "cannot start " + std::to_string(threads) + " threads (" + error.what() + "); ask for fewer");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  for (auto& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::run(int64_t tasks, TaskFunction function, void* argument) {
  if (tasks <= 0) return;
  const Batch batch{function, argument, tasks};
  next_task_.store(0, std::memory_order_relaxed);
  if (threads_ == 1 || tasks == 1) return take_tasks(batch, 0);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    batch_ = batch;
    open_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  take_tasks(batch, 0);
  // A worker that has not come by now is not waited for: on a busy machine it may not run for milliseconds.
  {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = false;
  }
  for (int spins = 0; joined_workers_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < 2000) pause_briefly();
    else std::this_thread::yield();
  }
}

void ThreadPool::take_tasks(const Batch& batch, int thread) {
  for (;;) {
    const int64_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= batch.tasks) return;
    batch.function(batch.argument, task, thread);
  }
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    const auto deadline = std::chrono::steady_clock::now() + kSpin;
    while (generation_.load(std::memory_order_acquire) == seen && std::chrono::steady_clock::now() < deadline) pause_briefly();
    Batch batch;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      start_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
      seen = generation_.load(std::memory_order_relaxed);
      if (stop_) return;
      if (!open_) continue;
      batch = batch_;
      joined_workers_.fetch_add(1, std::memory_order_relaxed);
    }
    take_tasks(batch, thread);
    joined_workers_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace limo
