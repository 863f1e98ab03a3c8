#pragma once

#include <pthread.h>

#include <mutex>

namespace limo {

// std::condition_variable without its symbols: its wait() is exported by libstdc++ 12 and later alone (GLIBCXX_3.4.30), and Red Hat
// Enterprise Linux 9 and Amazon Linux 2023 have that of gcc 11.
class Condition {
 public:
  Condition() = default;
  ~Condition() { pthread_cond_destroy(&condition_); }
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Sleeps until `ready` answers true; the lock is held whenever it is asked, and afterwards.
  template <class Ready>
  void wait(std::unique_lock<std::mutex>& lock, const Ready& ready) {
    while (!ready()) pthread_cond_wait(&condition_, lock.mutex()->native_handle());
  }
  void notify_all() { pthread_cond_broadcast(&condition_); }

 private:
  pthread_cond_t condition_ = PTHREAD_COND_INITIALIZER;
};

}  // namespace limo
