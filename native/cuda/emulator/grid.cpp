#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "cuda/emulator/block.h"
#include "cuda/emulator/fault_signal.h"

namespace limo::cuda::emulator {
namespace {

// Threads are started for a launch that has taken this long, so that small ones do not pay for them.
constexpr std::chrono::microseconds kWorthThreads{200};

class Grid {
 public:
  explicit Grid(const Launch& launch) : launch_(launch), count_(uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z) {
    // Blocks depend on no order: they come in steps that reach each of them once, from a place that differs every time.
    first_ = launch.seed % count_;
    step_ = count_ * 5 / 8 + 1;
    while (std::gcd(step_, count_) != 1) ++step_;
  }

  bool is_done() const { return next_ >= count_ || failed_; }

  void run_one(Block& block) {
    const uint64_t number = next_.fetch_add(1);
    if (number >= count_) return;
    std::string error = block.run(launch_, (first_ + number * step_) % count_);
    if (error.empty()) return;
    const std::lock_guard lock(mutex_);
    if (error_.empty()) error_ = std::move(error);
    failed_ = true;
  }

  std::string error() { return std::move(error_); }

 private:
  const Launch& launch_;
  const uint64_t count_;
  uint64_t first_, step_;
  std::atomic<uint64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::string error_;
};

void help(Grid& grid, Block& block) {
  const FaultGuard guard;
  while (!grid.is_done()) grid.run_one(block);
}

}  // namespace

std::string run_grid(const Launch& launch) {
  // Kept, and never destroyed: stacks and shared memory are used again by the next launch.
  static std::mutex& mutex = *new std::mutex;
  static auto& blocks = *new std::vector<std::unique_ptr<Block>>(std::max(1u, std::thread::hardware_concurrency()));
  const std::lock_guard lock(mutex);
  for (auto& block : blocks) {
    if (!block) block = std::make_unique<Block>();
  }
  Grid grid(launch);
  const FaultGuard guard;
  std::vector<std::thread> helpers;
  const auto start = std::chrono::steady_clock::now();
  while (!grid.is_done()) {
    grid.run_one(*blocks[0]);
    if (helpers.empty() && !grid.is_done() && std::chrono::steady_clock::now() - start > kWorthThreads) {
      try {
        while (helpers.size() + 1 < blocks.size()) helpers.emplace_back(help, std::ref(grid), std::ref(*blocks[helpers.size() + 1]));
      } catch (const std::system_error&) {
        // The system gives no more threads: those that are there do all of it.
      }
    }
  }
  for (std::thread& helper : helpers) helper.join();
  return grid.error();
}

int capability() {
  static const int value = [] {
    const char* text = std::getenv("LIMO_EMULATED_CAPABILITY");
    return text && std::string(text) == "80" ? 80 : 90;
  }();
  return value;
}

}  // namespace limo::cuda::emulator
