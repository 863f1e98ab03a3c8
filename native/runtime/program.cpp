#include "runtime/program.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "core/error.h"

namespace limo {
namespace {

[[noreturn]] void invalid(const std::string& message) { throw Error(ErrorCode::kProgramInvalid, message); }

std::string dimension_text(int64_t dimension) {
  if (dimension == kTokens) return "tokens";
  if (dimension == kSequenceBounds) return "sequences+1";
  if (dimension == kSequences) return "sequences";
  return std::to_string(dimension);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + dimension_text(shape[i]);
  return text + "]";
}

const char* dtype_text(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kI32: return "i32";
    case DType::kBF16: return "bf16";
    case DType::kF16: return "f16";
  }
  return "unknown";
}

std::vector<std::string> split_letters(const char* shape) {
  std::vector<std::string> letters(1);
  for (const char* c = shape; *c; ++c) {
    if (*c == ' ') letters.emplace_back();
    else letters.back() += *c;
  }
  return letters;
}

// Holds `shape` against the letters of an operand; `sizes` remembers what each letter stood for.
void match_shape(const OperandInfo& info, const std::vector<int64_t>& shape, std::map<std::string, int64_t>& sizes,
                 const std::string& place) {
  const auto letters = split_letters(info.shape);
  bool holds = letters.size() == shape.size();
  for (size_t i = 0; holds && i < letters.size(); ++i) {
    if (letters[i][0] >= '0' && letters[i][0] <= '9') {
      holds = shape[i] == std::stoll(letters[i]);
    } else {
      const auto [entry, fresh] = sizes.try_emplace(letters[i], shape[i]);
      holds = fresh || entry->second == shape[i];
    }
  }
  if (holds) return;
  std::string expected = "[";
  for (size_t i = 0; i < letters.size(); ++i) {
    const auto known = sizes.find(letters[i]);
    expected += (i ? ", " : "") + letters[i] + (known == sizes.end() ? "" : "=" + dimension_text(known->second));
  }
  invalid("expected shape " + expected + "] for " + place + " but received " + shape_text(shape));
}

// Holds `dtype` against what an operand's elements may be; `compute` remembers the type of the first that is free to choose.
void match_element(const OperandInfo& info, DType dtype, std::optional<DType>& compute, const std::string& place) {
  std::string expected;
  switch (info.element) {
    case ElementType::kF32: expected = dtype == DType::kF32 ? "" : "f32"; break;
    case ElementType::kBF16: expected = dtype == DType::kBF16 ? "" : "bf16"; break;
    case ElementType::kI32:
    case ElementType::kDeviceI32: expected = dtype == DType::kI32 ? "" : "i32"; break;
    case ElementType::kCompute:
      if (dtype != DType::kF32 && dtype != DType::kBF16) expected = "f32 or bf16";
      else if (compute.value_or(dtype) != dtype) expected = std::string(dtype_text(*compute)) + ", as of the operands before it,";
      else compute = dtype;
  }
  if (!expected.empty()) invalid("expected dtype " + expected + " for " + place + " but received " + dtype_text(dtype));
}

// a·b, or the largest number when that overflows.
uint64_t saturating_multiply(uint64_t a, uint64_t b) {
  return b != 0 && a > std::numeric_limits<uint64_t>::max() / b ? std::numeric_limits<uint64_t>::max() : a * b;
}

}  // namespace

int64_t row_bytes_of(const TensorDescription& tensor) {
  int64_t numbers = 1;
  for (size_t i = 1; i < tensor.shape.size(); ++i) numbers *= tensor.shape[i];
  return numbers * dtype_bytes(tensor.dtype);
}

int64_t row_stride_bytes_of(const TensorDescription& tensor) {
  return tensor.shape.size() == 3 || tensor.row_stride == 0 ? row_bytes_of(tensor) : tensor.row_stride * dtype_bytes(tensor.dtype);
}

std::string operation_text(size_t number, const std::string& op) { return "op " + std::to_string(number) + " (" + op + ")"; }

Program::Program(ProgramDescription description, std::vector<std::shared_ptr<Arena>> arenas, Backend backend)
    : backend_(backend),
      max_tokens_(description.max_tokens),
      max_sequences_(description.max_sequences),
      inputs_(std::move(description.inputs)),
      outputs_(std::move(description.outputs)),
      arenas_(std::move(arenas)) {
  constexpr int64_t kLimit = std::numeric_limits<int32_t>::max() - 1;
  if (max_tokens_ < 0 || max_tokens_ > kLimit || max_sequences_ < 0 || max_sequences_ > kLimit)
    invalid("expected maxTokens and maxSequences in 0..." + std::to_string(kLimit));
  // An arena that was given twice has one number, so that places can be compared.
  const auto renumber = [this](TensorDescription& tensor) {
    if (tensor.arena < arenas_.size()) tensor.arena = static_cast<size_t>(std::find(arenas_.begin(), arenas_.end(), arenas_[tensor.arena]) - arenas_.begin());
  };
  for (auto& input : inputs_) renumber(input.tensor);
  for (auto& output : outputs_) renumber(output.tensor);
  for (auto& operation : description.ops)
    for (auto& operand : operation.operands) renumber(operand.tensor);
  for (const auto& arena : arenas_)
    if (arena->closed()) throw Error(ErrorCode::kDeviceClosed, "the device that an arena belongs to is closed");
  for (const auto& input : inputs_) {
    check_tensor(input.tensor, "input " + input.name);
    if (input.tensor.dtype != DType::kF32 && input.tensor.dtype != DType::kI32) invalid("expected dtype f32 or i32 for input " + input.name);
  }
  for (const auto& output : outputs_) {
    check_tensor(output.tensor, "output " + output.name);
    if (output.tensor.dtype != DType::kF32) invalid("expected dtype f32 for output " + output.name);
  }
  for (size_t i = 0; i < description.ops.size(); ++i)
    operations_.push_back(compile_operation(i, description.ops[i]));
  check_integers_last();
  check_written_integers();
  check_waits();
  find_uses_of_arenas();
}

void Program::find_uses_of_arenas() {
  for (const auto& output : outputs_) uses_of_arenas_.try_emplace(&arena_of(output.tensor), false);
  for (const auto& input : inputs_) uses_of_arenas_[&arena_of(input.tensor)] = true;
  for (const Operation& operation : operations_)
    for (size_t i = 0; i < operation.operands.size(); ++i) {
      if (!operation.operands[i].present) continue;
      bool& is_written = uses_of_arenas_.try_emplace(&arena_of(operation.operands[i].tensor), false).first->second;
      is_written = is_written || operation.entry->operands[i].access != Access::kRead;
    }
}

Program::Operation Program::compile_operation(size_t number, const OpDescription& description) const {
  const std::string place = operation_text(number, description.op);
  const OpEntry* entry = find_op(description.op);
  if (!entry) invalid("no operation of the name \"" + description.op + "\" (" + place + ")");
  Operation operation{entry, std::vector<Operand>(entry->operands.size()), {}, description.queue, description.after};
  for (const auto& operand : description.operands) {
    size_t index = 0;
    while (index < entry->operands.size() && operand.name != entry->operands[index].name) ++index;
    if (index == entry->operands.size()) invalid(place + " has no operand \"" + operand.name + "\"");
    if (operation.operands[index].present) invalid(place + " has operand \"" + operand.name + "\" twice");
    operation.operands[index] = {true, operand.tensor};
  }
  std::map<std::string, int64_t> sizes;
  std::optional<DType> compute;
  for (size_t i = 0; i < operation.operands.size(); ++i) {
    const OperandInfo& info = entry->operands[i];
    const std::string operand_place = std::string(info.name) + " of " + place;
    if (!operation.operands[i].present) {
      if (!info.optional || needs(info, compute)) invalid("expected operand " + operand_place + " but it is missing");
      continue;
    }
    if (info.working && !needs(info, compute)) invalid("expected no " + operand_place + ": it is working memory that this computation does not need");
    const TensorDescription& tensor = operation.operands[i].tensor;
    check_tensor(tensor, operand_place);
    match_element(info, tensor.dtype, compute, operand_place);
    match_shape(info, tensor.shape, sizes, operand_place);
  }
  for (const char* name : entry->attributes) {
    const AttributeDescription* found = nullptr;
    for (const auto& attribute : description.attributes)
      if (attribute.name == name) found = &attribute;
    if (!found) invalid("expected attribute " + std::string(name) + " of " + place + " but it is missing");
    operation.attributes.push_back(*found);
  }
  if (description.attributes.size() != entry->attributes.size())
    invalid("expected " + std::to_string(entry->attributes.size()) + " attributes of " + place + " but received " +
            std::to_string(description.attributes.size()));
  naming_operation(number, *entry, [&] { entry->check(make_largest_call(operation)); });
  return operation;
}

// Whether an operand is working memory that this program's backend needs for a computation of that type.
bool Program::needs(const OperandInfo& info, std::optional<DType> compute) const {
  return info.working && info.working->backend == backend_ && (!info.working->only_bf16 || compute == DType::kBF16);
}

void Program::check_tensor(const TensorDescription& tensor, const std::string& place) const {
  if (tensor.arena >= arenas_.size())
    invalid("expected an arena below " + std::to_string(arenas_.size()) + " for " + place + " but received " + std::to_string(tensor.arena));
  if (tensor.shape.empty() || tensor.shape.size() > 3) invalid("expected one to three dimensions for " + place + " but received " + shape_text(tensor.shape));
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const int64_t dimension = tensor.shape[i];
    const bool dynamic = dimension == kTokens || dimension == kSequenceBounds || dimension == kSequences;
    if (dimension < 1 && !dynamic) invalid("expected dimensions of at least 1 for " + place + " but received " + shape_text(tensor.shape));
    if (dynamic && i > 0) invalid("expected only the first dimension of " + place + " to depend on the run");
  }
  const uint64_t element = static_cast<uint64_t>(dtype_bytes(tensor.dtype));
  if (tensor.offset % element != 0) invalid("expected an offset that is a multiple of " + std::to_string(element) + " for " + place);
  const uint64_t cols = static_cast<uint64_t>(tensor.shape.size() > 1 ? tensor.shape.back() : 1);
  if (tensor.row_stride != 0 && (tensor.row_stride < 0 || static_cast<uint64_t>(tensor.row_stride) < cols))
    invalid("expected a row stride of at least " + std::to_string(cols) + " for " + place + " but received " + std::to_string(tensor.row_stride));
  if (tensor.shape.size() == 3 && tensor.row_stride != 0 && static_cast<uint64_t>(tensor.row_stride) != cols)
    invalid("expected no space between the rows of three dimensions but received a row stride of " + std::to_string(tensor.row_stride) + " for " + place);
  if (tensor.shape.size() == 1 && tensor.row_stride > 1)
    invalid("expected no space between the numbers of a vector but received a row stride of " + std::to_string(tensor.row_stride) + " for " + place);
  // Whatever the run makes of the first dimension: numbers of bytes must not overflow.
  uint64_t row_bytes = element;
  for (size_t i = 1; i < tensor.shape.size(); ++i) row_bytes = saturating_multiply(row_bytes, static_cast<uint64_t>(tensor.shape[i]));
  constexpr uint64_t kMostRowBytes = uint64_t{1} << 47;
  if (row_bytes > kMostRowBytes || saturating_multiply(static_cast<uint64_t>(tensor.row_stride), element) > kMostRowBytes)
    invalid("expected " + place + " inside its arena of " + std::to_string(arenas_[tensor.arena]->bytes()) + " bytes but its rows " + shape_text(tensor.shape) + " take more than 2^47 bytes each");
  const uint64_t bytes = largest_extent(tensor);
  const uint64_t available = arenas_[tensor.arena]->bytes();
  if (tensor.offset > available || bytes > available - tensor.offset)
    invalid("expected " + place + " inside its arena of " + std::to_string(available) + " bytes but it takes " + std::to_string(bytes) +
            " bytes at offset " + std::to_string(tensor.offset));
}

uint64_t Program::largest_extent(const TensorDescription& tensor) const {
  const uint64_t first = static_cast<uint64_t>(Sizes{max_tokens_, max_sequences_}.of(tensor.shape[0]));
  if (first == 0) return 0;
  const uint64_t rows = tensor.shape.size() == 3 ? saturating_multiply(first, static_cast<uint64_t>(tensor.shape[1])) : first;
  const uint64_t cols = static_cast<uint64_t>(tensor.shape.size() > 1 ? tensor.shape.back() : 1);
  const uint64_t stride = tensor.row_stride ? static_cast<uint64_t>(tensor.row_stride) : cols;
  const uint64_t elements = saturating_multiply(rows - 1, stride) + cols;
  if (elements < cols) return std::numeric_limits<uint64_t>::max();
  return saturating_multiply(elements, static_cast<uint64_t>(dtype_bytes(tensor.dtype)));
}

}  // namespace limo
