#include "runtime/cpu_device.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "runtime/ceiling.h"

namespace limo {
namespace {

// Swaps an input in, so that a failed validation can roll back by swapping out in reverse order. The order matters where inputs overlap.
void exchange_input(const Program& program, const OperandDescription& input, RunRequest& request) {
  std::vector<char>& bytes = request.inputs.at(input.name).bytes;
  const int64_t row_bytes = row_bytes_of(input.tensor);
  const int64_t stride_bytes = input.tensor.row_stride ? input.tensor.row_stride * dtype_bytes(input.tensor.dtype) : row_bytes;
  char* to = program.arena_of(input.tensor).data() + input.tensor.offset;
  const int64_t rows = static_cast<int64_t>(bytes.size()) / row_bytes;
  for (int64_t r = 0; r < rows; ++r) {
    char* from = bytes.data() + r * row_bytes;
    std::swap_ranges(from, from + row_bytes, to + r * stride_bytes);
  }
}

}  // namespace

CpuDevice::CpuDevice(int threads, Isa isa)
    : isa_(isa), pool_(threads), scratch_(static_cast<size_t>(pool_.threads()) * kScratchBytesPerThread) {
  start();
}

CpuDevice::~CpuDevice() { stop(); }

std::shared_ptr<Arena> CpuDevice::make_arena(size_t bytes) { return std::make_shared<HostArena>(bytes); }

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

RunOutputs CpuDevice::run(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) {
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
  const CpuContext context{pool_, scratch_.data()};
  for (size_t i = 0; i < calls.size(); ++i) {
    if (cancelled()) throw Error(ErrorCode::kAborted, "the run was aborted");
    program.operations()[i].entry->cpu.run[static_cast<int>(isa_)](calls[i], context);
  }
  RunOutputs outputs;
  for (const auto& [name, tensor] : program.outputs()) {
    const Tensor view = program.resolve(tensor, sizes);
    std::vector<float> values(static_cast<size_t>(view.rows * view.cols));
    for (int64_t r = 0; r < view.rows; ++r) std::memcpy(values.data() + r * view.cols, view.row(r), static_cast<size_t>(view.cols) * 4);
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
