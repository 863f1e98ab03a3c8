#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "core/tensor.h"
#include "runtime/condition.h"

namespace limo {

// A fixed set of threads that run numbered tasks. The caller of `run` works too, as thread 0.
// Which thread takes which task is not fixed, so a task must write only what no other task writes:
// then results do not depend on the number of threads.
class ThreadPool {
 public:
  using TaskFunction = void (*)(void* argument, int64_t task, int thread);

  explicit ThreadPool(int threads);  // throws kOutOfMemory when the system gives no more threads
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Ends the threads; `run` must not be called after. Twice does no harm.
  void stop();

  // Runs function(argument, task, thread) for every task in [0, tasks) and returns when all are done.
  void run(int64_t tasks, TaskFunction function, void* argument);

 private:
  struct Batch {
    TaskFunction function = nullptr;
    void* argument = nullptr;
    int64_t tasks = 0;
  };

  void work(int thread);
  void take_tasks(const Batch& batch, int thread);

  const int threads_;
  std::vector<std::thread> workers_;

  std::atomic<int64_t> next_task_{0};
  std::atomic<int> joined_workers_{0};
  std::atomic<uint64_t> generation_{0};  // counts batches; written under the mutex, watched without it
  std::mutex mutex_;
  Condition start_;
  // Under the mutex:
  Batch batch_;
  bool open_ = false;  // workers may still join the batch
  bool stop_ = false;
};

// parallel_for(pool, tasks, [&](int64_t task, int thread) { … })
template <class Body>
LIMO_INLINE void parallel_for(ThreadPool& pool, int64_t tasks, const Body& body) {
  pool.run(
      tasks,
      [](void* argument, int64_t task, int thread) { (*static_cast<const Body*>(argument))(task, thread); },
      const_cast<Body*>(&body));
}

}  // namespace limo
