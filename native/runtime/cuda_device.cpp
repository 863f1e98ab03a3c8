#include "runtime/cuda_device.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "core/error.h"

namespace limo {
namespace {

// The number of an operation in op_list.h.
size_t number_of(const OpEntry& entry) { return static_cast<size_t>(&entry - all_ops().data()); }

int64_t stride_of(const TensorDescription& tensor) {
  return tensor.row_stride != 0 ? tensor.row_stride : tensor.shape.size() == 2 ? tensor.shape[1] : 1;
}

// Numbers from a tensor's first to its last, with what lies between its rows.
size_t extent_of(const Tensor& tensor) { return tensor.rows == 0 ? 0 : static_cast<size_t>((tensor.rows - 1) * tensor.row_stride + tensor.cols); }

}  // namespace

class CudaArena : public Arena {
 public:
  CudaArena(const CudaDevice& device, size_t bytes, MemoryKind kind) : Arena(bytes), device_(device), kind_(kind) {
    void* memory = nullptr;
    device_.call(device_.api_.allocate, bytes, is_pinned(), &memory);
    data_ = static_cast<char*>(memory);
  }
  ~CudaArena() override { CudaArena::release(); }

  bool is_on_host() const override { return is_pinned(); }
  const CudaApi& api() const { return device_.api_; }

  void write(uint64_t offset, const char* from, uint64_t length) override {
    if (is_pinned()) return copy(data() + offset, from, length);
    device_.call(device_.api_.write, data() + offset, static_cast<const void*>(from), length);
  }
  void read(uint64_t offset, char* to, uint64_t length) const override {
    if (is_pinned()) return copy(to, data() + offset, length);
    device_.call(device_.api_.read, to, static_cast<const void*>(data() + offset), length);
  }
  void load(uint64_t offset, const FileRange& range) override {
    if (is_pinned()) return load_numbers(data() + offset, range);
    constexpr uint64_t kPiece = 1 << 20;  // numbers
    const uint64_t file_bytes = static_cast<uint64_t>(dtype_bytes(range.dtype)), bytes = static_cast<uint64_t>(dtype_bytes(range.to));
    std::vector<char> numbers(std::min(kPiece, range.elements) * bytes);
    for (uint64_t done = 0; done < range.elements; done += kPiece) {
      const uint64_t elements = std::min(kPiece, range.elements - done);
      FileRange piece = range;
      piece.offset += done * file_bytes;
      piece.elements = elements;
      load_numbers(numbers.data(), piece);
      write(offset + done * bytes, numbers.data(), elements * bytes);
    }
  }
  void release() override {
    if (data_) device_.let_go(data(), kind_);
    data_ = nullptr;
  }

 private:
  bool is_pinned() const { return kind_ == MemoryKind::kPinnedHost; }
  static void copy(char* to, const char* from, uint64_t length) {
    if (length > 0) std::memcpy(to, from, length);
  }

  const CudaDevice& device_;  // which outlives its arenas: JavaScript's arena holds both
  const MemoryKind kind_;
};

CudaDevice::CudaDevice(CudaLibrary library, int ordinal) : api_(open_cuda_library(library)), ordinal_(ordinal) {
  CudaFailure failure;
  int devices = 0;
  if (!api_.count_devices(&devices, &failure)) throw Error(ErrorCode::kDeviceUnavailable, failure.message);
  if (ordinal < 0 || ordinal >= devices)
    throw Error(ErrorCode::kDeviceUnavailable,
                "device " + std::to_string(ordinal) + " was asked for but there " + (devices == 1 ? "is 1" : "are " + std::to_string(devices)));
  if (!api_.open(ordinal, &context_, &description_, &failure)) {
    const bool full = failure.code == ErrorCode::kOutOfMemory;
    throw Error(full ? ErrorCode::kOutOfMemory : ErrorCode::kDeviceUnavailable, failure.message);
  }
  refused_products_ = api_.count_refused_products(context_);
  start();
}

CudaDevice::~CudaDevice() {
  stop();
  CudaDevice::release();
}

template <class Function, class... Arguments>
void CudaDevice::call(Function function, Arguments... arguments) const {
  {
    std::lock_guard<std::mutex> lock(failure_mutex_);
    if (!failure_.empty()) throw Error(ErrorCode::kDeviceFailed, "the device failed before this, and only a new process can use it again: " + failure_);
  }
  CudaFailure failure;
  if (function(context_, arguments..., &failure)) return;
  if (failure.code == ErrorCode::kDeviceFailed) {
    std::lock_guard<std::mutex> lock(failure_mutex_);
    failure_ = failure.message;
  }
  throw Error(failure.code, failure.message);
}

std::shared_ptr<Arena> CudaDevice::make_arena(size_t bytes, MemoryKind kind) {
  give_back();
  return std::make_shared<CudaArena>(*this, bytes, kind);
}

bool CudaDevice::reaches(const Arena& arena) const { return arena.owner() == this && !arena.is_on_host(); }

bool CudaDevice::copies(const Arena& arena) const {
  const auto* cuda = dynamic_cast<const CudaArena*>(&arena);
  return arena.is_on_host() || (cuda && &cuda->api() == &api_);
}

void CudaDevice::let_go(void* memory, MemoryKind kind) const {
  std::lock_guard<std::mutex> lock(unused_mutex_);
  unused_.push_back({memory, kind});
}

void CudaDevice::give_back() const {
  std::lock_guard<std::mutex> lock(unused_mutex_);
  if (context_)
    for (const auto& [memory, kind] : unused_) api_.release(context_, memory, kind == MemoryKind::kPinnedHost);
  unused_.clear();
}

void CudaDevice::release() {
  give_back();
  std::lock_guard<std::mutex> lock(unused_mutex_);
  if (context_) api_.close(context_);
  context_ = nullptr;
}

void CudaDevice::check(const Program& program) const {
  const auto invalid = [](const std::string& message) { throw Error(ErrorCode::kProgramInvalid, message); };
  check_limits(program);
  for (size_t s = 0; s < program.operations().size(); ++s) {
    const OpEntry* entry = program.operations()[s].entry;
    const auto& operands = program.operations()[s].operands;
    // The host must know the integers of a run before it starts: those of an input, or what lies in memory that no input changes.
    for (size_t i = 0; i < operands.size(); ++i) {
      const auto& [present, tensor] = operands[i];
      if (!present || entry->operands[i].element != ElementType::kI32) continue;
      const std::string place = std::string(entry->operands[i].name) + " of " + operation_text(s, entry->name);
      bool is_input = false;
      for (const auto& [name, input] : program.inputs()) {
        const bool same = input.offset == tensor.offset && input.shape == tensor.shape && stride_of(input) == stride_of(tensor) &&
                          input.dtype == DType::kI32;
        if (input.arena != tensor.arena) continue;
        if (same && !std::exchange(is_input, true)) continue;
        if (input.offset < tensor.offset + program.largest_extent(tensor) && tensor.offset < input.offset + program.largest_extent(input))
          invalid("expected " + place + " to be an input of the program or apart from all of them but it overlaps \"" + name + "\"");
      }
    }
  }
}

// Every operation within the limits of its kernels, and room for the lists of indices of a run: operations of one kind on the same
// integers share theirs.
void CudaDevice::check_limits(const Program& program) const {
  std::set<std::tuple<size_t, size_t, uint64_t>> listed;  // operation, and the arena and offset of its integers
  size_t list_bytes = 0;
  for (size_t i = 0; i < program.operations().size(); ++i) {
    const auto& operation = program.operations()[i];
    const Call largest = program.make_largest_call(operation);
    const size_t number = number_of(*operation.entry);
    size_t bytes = 0;
    naming_operation(i, *operation.entry,
                     [&] { call(api_.check_op, number, largest.tensors.data(), largest.attributes.data(), &bytes); });
    for (size_t o = 0; o < operation.operands.size(); ++o)
      if (const auto& [present, tensor] = operation.operands[o];
          present && operation.entry->operands[o].element == ElementType::kI32 && listed.emplace(number, tensor.arena, tensor.offset).second) list_bytes += std::exchange(bytes, 0);
  }
  if (list_bytes > kCudaListBytes)
    throw Error(ErrorCode::kProgramInvalid, "expected a program whose lists of indices fit in " + std::to_string(kCudaListBytes) +
                                                " bytes on the device but they take up to " + std::to_string(list_bytes) + ": plan for fewer tokens");
}

std::vector<CudaDevice::Integers> CudaDevice::read_integers(const Program& program, const Program::Sizes& sizes,
                                                            const RunRequest& request) const {
  std::vector<Integers> known;
  for (const auto& operation : program.operations())
    for (size_t i = 0; i < operation.operands.size(); ++i) {
      const auto& [present, tensor] = operation.operands[i];
      if (!present || operation.entry->operands[i].element != ElementType::kI32) continue;
      const Tensor view = program.resolve(tensor, sizes);
      std::vector<int32_t> values(extent_of(view));
      const auto same = [&](const Integers& other) { return other.device == view.data && other.host.size() >= values.size(); };
      if (std::any_of(known.begin(), known.end(), same)) continue;
      const auto input = std::find_if(program.inputs().begin(), program.inputs().end(), [&, t = &tensor](const auto& candidate) {
        return candidate.tensor.arena == t->arena && candidate.tensor.offset == t->offset;
      });
      if (input != program.inputs().end()) {
        const char* const bytes = request.inputs.at(input->name).bytes.data();
        const int64_t row_bytes = view.cols * 4;
        for (int64_t r = 0; r < view.rows; ++r)
          std::memcpy(values.data() + r * view.row_stride, bytes + r * row_bytes, static_cast<size_t>(row_bytes));
      } else if (!values.empty()) {
        call(api_.read, static_cast<void*>(values.data()), static_cast<const void*>(view.data), values.size() * 4);
      }
      known.push_back({view.data, std::move(values)});
    }
  return known;
}

RunOutputs CudaDevice::run_program(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) {
  give_back();
  const Program::Sizes sizes = program.check_request(request);
  const std::vector<Integers> integers = read_integers(program, sizes, request);
  const auto on_host = [&](const Tensor& tensor) {
    const auto known = std::find_if(integers.begin(), integers.end(), [&](const Integers& candidate) {
      return candidate.device == tensor.data && candidate.host.size() >= extent_of(tensor);
    });
    return const_cast<int32_t*>(known->host.data());
  };
  for (const auto& operation : program.operations()) {
    Call call = program.make_call(operation, sizes, request);
    for (size_t i = 0; i < call.tensors.size(); ++i)
      if (Tensor& tensor = call.tensors[i]; tensor && operation.entry->operands[i].element == ElementType::kI32) tensor.data = on_host(tensor);
    operation.entry->check_values(call);
  }
  RunOutputs outputs;
  call(api_.begin_run);
  for (const auto& [device, host] : integers) call(api_.know_integers, device, host.data());
  try {
    queue(program, sizes, request, outputs, cancelled);
  } catch (...) {
    // Nothing of this run may be under way when the next one begins. Of a device that has failed nothing is.
    try {
      call(api_.finish_run);
    } catch (const Error&) {
    }
    throw;
  }
  call(api_.finish_run);
  refused_products_ = api_.count_refused_products(context_);
  return outputs;
}

void CudaDevice::queue(const Program& program, const Program::Sizes& sizes, const RunRequest& request, RunOutputs& outputs,
                       const std::function<bool()>& cancelled) const {
  for (const auto& [name, tensor] : program.inputs()) {
    const std::vector<char>& bytes = request.inputs.at(name).bytes;
    const Tensor view = program.resolve(tensor, sizes);
    const int64_t row_bytes = row_bytes_of(tensor), stride_bytes = row_stride_bytes_of(tensor);
    const bool dense = row_bytes == stride_bytes;
    for (int64_t r = 0; r < (dense ? 1 : view.rows); ++r)
      call(api_.upload, static_cast<void*>(static_cast<char*>(view.data) + r * stride_bytes),
           static_cast<const void*>(bytes.data() + r * row_bytes), dense ? bytes.size() : static_cast<size_t>(row_bytes));
  }
  queue_operations(program, sizes, request, cancelled);
  // All are made before any is downloaded into: the memory of an output must not move.
  for (const auto& [name, tensor] : program.outputs()) {
    const Tensor view = program.resolve(tensor, sizes);
    outputs.emplace_back(name, std::vector<float>(static_cast<size_t>(view.planes * view.rows * view.cols)));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor view = program.resolve(program.outputs()[i].tensor, sizes);
    float* to = outputs[i].second.data();
    const bool dense = view.row_stride == view.cols;
    for (int64_t r = 0; r < (dense ? 1 : view.rows); ++r)
      call(api_.download, static_cast<void*>(to + r * view.cols), static_cast<const void*>(view.row(r)),
           static_cast<size_t>(dense ? view.planes * view.rows * view.cols : view.cols) * 4);
  }
}

// Each queue is a stream. The others begin when the inputs are there, and the outputs come when they have ended. An operation that one of
// another queue waits for records an event of its number.
void CudaDevice::queue_operations(const Program& program, const Program::Sizes& sizes, const RunRequest& request,
                                  const std::function<bool()>& cancelled) const {
  const auto& operations = program.operations();
  const auto each_other_queue = [&](const auto& body) {
    for (const Queue queue : {Queue::kCopy, Queue::kCommunication})
      if (program.uses(queue)) body(queue, operations.size() + static_cast<size_t>(queue));
  };
  each_other_queue([&](Queue queue, size_t event) {
    call(api_.record, Queue::kCompute, event);
    call(api_.wait, queue, event);
  });
  for (size_t i = 0; i < operations.size(); ++i) {
    const auto& operation = operations[i];
    if (cancelled()) throw Error(ErrorCode::kAborted, "the run was aborted");
    for (const size_t awaited : operation.after)
      if (operations[awaited].queue != operation.queue) call(api_.wait, operation.queue, awaited);
    const Call made = program.make_call(operation, sizes, request);
    call(api_.run_op, number_of(*operation.entry), operation.queue, made.tensors.data(), made.attributes.data());
    if (operation.is_awaited) call(api_.record, operation.queue, i);
  }
  each_other_queue([&](Queue queue, size_t event) {
    call(api_.record, queue, event);
    call(api_.wait, Queue::kCompute, event);
  });
}

double CudaDevice::measure(Ceiling ceiling, bool small) {
  double rate = 0;
  call(api_.measure, ceiling, small, &rate);
  return rate;
}

DeviceInfo CudaDevice::info() const {
  char text[1024];
  std::snprintf(text, sizeof text, "%s, %d multiprocessors, %.1f GiB; %s; %s", description_.name, description_.multiprocessors,
                static_cast<double>(description_.bytes) / (1 << 30), description_.code, description_.products);
  return {1, "sm_" + std::to_string(description_.capability), text, kCudaScratchBytes, refused_products_, description_.free_bytes};
}

}  // namespace limo
