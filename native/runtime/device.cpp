#include "runtime/device.h"

#include "core/error.h"

namespace limo {

void Device::start() {
  thread_ = std::thread([this] { work(); });
}

void Device::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  // What dropped jobs hold, arenas among it, goes while the device is whole.
  jobs_.clear();
}

std::shared_ptr<Arena> Device::allocate(size_t bytes) {
  if (closed()) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
  auto arena = make_arena(bytes);
  std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(arenas_, [](const auto& known) { return known.expired(); });
  arenas_.push_back(arena);
  return arena;
}

void Device::submit(std::function<void()> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
    jobs_.push_back(std::move(job));
  }
  wake_.notify_all();
}

void Device::close(std::function<void()> done) {
  submit([this, done = std::move(done)] {
    for (const auto& known : arenas_)
      if (const auto arena = known.lock()) arena->release();
    release();
    done();
  });
  std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
}

bool Device::closed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

void Device::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace limo
