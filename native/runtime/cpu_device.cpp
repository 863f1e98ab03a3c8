#include "runtime/cpu_device.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "core/error.h"
#include "runtime/condition.h"
#include "runtime/ceiling.h"

namespace limo {
namespace {

// Swaps an input in, so that a failed validation can roll back by swapping out in reverse order. The order matters where inputs overlap.
void exchange_input(const Program& program, const OperandDescription& input, RunRequest& request) {
  std::vector<char>& bytes = request.inputs.at(input.name).bytes;
  const int64_t row_bytes = row_bytes_of(input.tensor);
  const int64_t stride_bytes = row_stride_bytes_of(input.tensor);
  char* to = program.arena_of(input.tensor).data() + input.tensor.offset;
  const int64_t rows = static_cast<int64_t>(bytes.size()) / row_bytes;
  for (int64_t r = 0; r < rows; ++r) {
    char* from = bytes.data() + r * row_bytes;
    std::swap_ranges(from, from + row_bytes, to + r * stride_bytes);
  }
}

// Which operations of a run are done, for queues that wait for each other.
class Completion {
 public:
  explicit Completion(size_t operations) : done_(operations) {}

  // False when another queue has failed meanwhile.
  bool wait_for(const std::vector<size_t>& operations) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || std::all_of(operations.begin(), operations.end(), [&](size_t i) { return done_[i]; }); });
    return !failure_;
  }
  void finish(size_t operation) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      done_[operation] = true;
    }
    changed_.notify_all();
  }
  void fail(std::exception_ptr failure) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::move(failure);
    }
    changed_.notify_all();
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::mutex mutex_;
  Condition changed_;
  std::vector<bool> done_;
  std::exception_ptr failure_;
};

}  // namespace

CpuDevice::CpuDevice(int threads, Isa isa)
    : isa_(isa), pool_(threads), scratch_(static_cast<size_t>(pool_.threads()) * kScratchBytesPerThread) {
  start();
}

CpuDevice::~CpuDevice() { stop(); }

std::shared_ptr<Arena> CpuDevice::make_arena(size_t bytes, MemoryKind) { return std::make_shared<HostArena>(bytes); }

void CpuDevice::release() {
  pool_.stop();
  scratch_.release();
}

void CpuDevice::check(const Program& program) const {
  for (size_t i = 0; i < program.operations().size(); ++i) {
    const auto& operation = program.operations()[i];
    naming_operation(i, *operation.entry, [&] { operation.entry->cpu.check_limits(program.make_largest_call(operation)); });
  }
}

void CpuDevice::run_operations(const Program& program, const std::vector<Call>& calls, const std::function<bool()>& cancelled) {
  const auto& operations = program.operations();
  Completion completion(operations.size());
  // The queue's operations, each when those that it waits for are done; the first error ends all queues.
  const auto run_queue = [&](Queue queue, const CpuContext& context) {
    try {
      for (size_t i = 0; i < calls.size(); ++i) {
        if (operations[i].queue != queue) continue;
        if (!completion.wait_for(operations[i].after)) return;
        if (cancelled()) throw Error(ErrorCode::kAborted, "the run was aborted");
        operations[i].entry->cpu.run[static_cast<int>(isa_)](calls[i], context);
        completion.finish(i);
      }
    } catch (...) {
      completion.fail(std::current_exception());
    }
  };
  std::vector<std::unique_ptr<ThreadPool>> pools;
  std::vector<std::thread> others;
  others.reserve(kQueues);
  for (const Queue queue : {Queue::kCopy, Queue::kCommunication})
    if (program.uses(queue))
      try {
        pools.push_back(std::make_unique<ThreadPool>(1));
        // Operations that only move memory need no working memory.
        others.emplace_back([&, queue, pool = pools.back().get()] { run_queue(queue, {*pool, nullptr}); });
      } catch (const std::exception& error) {
        completion.fail(std::make_exception_ptr(Error(ErrorCode::kOutOfMemory, std::string("the system gives no thread for a queue: ") + error.what())));
      }
  run_queue(Queue::kCompute, {pool_, scratch_.data()});
  for (std::thread& other : others) other.join();
  completion.rethrow();
}

RunOutputs CpuDevice::run_program(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) {
  const Program::Sizes sizes = program.check_request(request);
  std::vector<Call> calls;
  calls.reserve(program.operations().size());
  for (const auto& operation : program.operations()) calls.push_back(program.make_call(operation, sizes, request));
  for (const auto& input : program.inputs()) exchange_input(program, input, request);
  try {
    for (size_t i = 0; i < calls.size(); ++i) program.operations()[i].entry->check_values(calls[i]);
  } catch (...) {
    for (auto input = program.inputs().rbegin(); input != program.inputs().rend(); ++input) exchange_input(program, *input, request);
    throw;
  }
  run_operations(program, calls, cancelled);
  RunOutputs outputs;
  for (const auto& [name, tensor] : program.outputs()) {
    const Tensor view = program.resolve(tensor, sizes);
    const int64_t rows = view.planes * view.rows;
    std::vector<float> values(static_cast<size_t>(rows * view.cols));
    for (int64_t r = 0; r < rows; ++r) std::memcpy(values.data() + r * view.cols, view.row(r), static_cast<size_t>(view.cols) * 4);
    outputs.emplace_back(name, std::move(values));
  }
  return outputs;
}

double CpuDevice::measure(Ceiling ceiling, bool small) {
  const CpuContext context{pool_, scratch_.data()};
  switch (ceiling) {
    case Ceiling::kMultiplyAdd: return measure_multiply_add_rate(isa_, context, small);
    case Ceiling::kBf16MultiplyAdd: return measure_bf16_multiply_add_rate(isa_, context, small);
    case Ceiling::kUpdate: return measure_update_rate(isa_, context, small);
    case Ceiling::kRead: return measure_read_rate(isa_, context, small);
  }
  return 0;
}

DeviceInfo CpuDevice::info() const { return {pool_.threads(), isa_name(isa_), "", scratch_.bytes()}; }

}  // namespace limo
