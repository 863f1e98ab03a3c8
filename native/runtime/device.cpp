#include "runtime/device.h"

#include <shared_mutex>

#include "core/error.h"

namespace limo {

void Device::start() {
  thread_ = std::thread([this] { work(); });
}

void Device::ask_to_stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    stop_ = true;
  }
  wake_.notify_all();
}

void Device::stop() {
  ask_to_stop();
  if (thread_.joinable()) thread_.join();
  // What dropped jobs hold, arenas among it, goes while the device is whole.
  jobs_.clear();
}

std::shared_ptr<Arena> Device::allocate(size_t bytes, MemoryKind kind) {
  if (closed()) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
  auto arena = make_arena(bytes, kind);
  arena->belong_to(*this);
  std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(arenas_, [](const auto& known) { return known.expired(); });
  arenas_.push_back(arena);
  return arena;
}

void Device::submit(std::function<void()> job) { add_job(std::move(job), false); }

void Device::close(std::function<void()> done) {
  const auto give_everything_back = [this, done = std::move(done)] {
    for (const auto& known : arenas_)
      if (const auto arena = known.lock()) arena->close();
    release();
    done();
  };
  add_job(give_everything_back, true);
}

void Device::add_job(std::function<void()> job, bool is_last) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
    jobs_.push_back(std::move(job));
    closed_ = is_last;
  }
  wake_.notify_all();
}

bool Device::closed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

void Device::check_program(const Program& program) const {
  const auto refuse = [](const std::string& place) {
    throw Error(ErrorCode::kProgramInvalid, "expected " + place + " in memory of the device that runs the program but it is another's, or the host's: copy it first");
  };
  for (const auto& input : program.inputs())
    if (!reaches(program.arena_of(input.tensor))) refuse("input " + input.name);
  for (const auto& output : program.outputs())
    if (!reaches(program.arena_of(output.tensor))) refuse("output " + output.name);
  for (size_t i = 0; i < program.operations().size(); ++i) {
    const auto& operation = program.operations()[i];
    for (size_t o = 0; o < operation.operands.size(); ++o) {
      const auto& [present, tensor] = operation.operands[o];
      if (!present) continue;
      const Arena& arena = program.arena_of(tensor);
      if (!reaches(arena) && !(operation.entry->crosses_devices && copies(arena)))
        refuse(std::string(operation.entry->operands[o].name) + " of " + operation_text(i, operation.entry->name));
    }
  }
  check(program);
}

RunOutputs Device::run(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) {
  std::vector<std::shared_lock<std::shared_mutex>> read;
  std::vector<std::unique_lock<std::shared_mutex>> written;
  for (const auto& [arena, is_written] : program.uses_of_arenas()) {
    if (is_written) written.push_back(arena->lock_to_write());
    else read.push_back(arena->lock_to_read());
  }
  return run_program(program, request, cancelled);
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
