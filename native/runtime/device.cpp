#include "runtime/device.h"

#include "core/error.h"

namespace limo {

CpuDevice::CpuDevice(int threads, Isa isa)
    : isa_(isa), pool_(threads), scratch_(static_cast<size_t>(pool_.threads()) * kScratchBytesPerThread), thread_([this] { work(); }) {}

CpuDevice::~CpuDevice() { stop(); }

void CpuDevice::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Arena> CpuDevice::allocate(size_t bytes) {
  auto arena = std::make_shared<Arena>(bytes);
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
  std::erase_if(arenas_, [](const auto& known) { return known.expired(); });
  arenas_.push_back(arena);
  return arena;
}

void CpuDevice::submit(std::function<void()> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
    jobs_.push_back(std::move(job));
  }
  wake_.notify_all();
}

void CpuDevice::close(std::function<void()> done) {
  submit([this, done = std::move(done)] {
    pool_.stop();
    for (const auto& known : arenas_)
      if (const auto arena = known.lock()) arena->release();
    scratch_.release();
    done();
  });
  std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
}

bool CpuDevice::closed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

void CpuDevice::work() {
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
