#include "runtime/program.h"

#include <limits>

#include "core/error.h"

namespace limo {
namespace {

[[noreturn]] void invalid_input(const std::string& message) { throw Error(ErrorCode::kInputInvalid, message); }

}  // namespace

Tensor Program::resolve(const TensorDescription& tensor, const Sizes& sizes) const {
  Tensor view;
  view.data = arenas_[tensor.arena]->data() + tensor.offset;
  view.dtype = tensor.dtype;
  const bool has_planes = tensor.shape.size() == 3;
  if (has_planes) view.planes = sizes.of(tensor.shape[0]);
  view.rows = has_planes ? tensor.shape[1] : sizes.of(tensor.shape[0]);
  view.cols = tensor.shape.size() > 1 ? tensor.shape.back() : 1;
  view.row_stride = tensor.row_stride ? tensor.row_stride : view.cols;
  return view;
}

Program::Sizes Program::check_inputs(const RunRequest& request) const {
  constexpr int64_t kUnknown = -1;
  Sizes sizes{kUnknown, kUnknown};
  for (const auto& [name, tensor] : inputs_) {
    const auto given = request.inputs.find(name);
    if (given == request.inputs.end()) invalid_input("expected input \"" + name + "\" but it is missing");
    if (given->second.dtype != tensor.dtype)
      invalid_input(std::string("expected ") + (tensor.dtype == DType::kI32 ? "an Int32Array" : "a Float32Array") + " for input \"" + name + "\"");
    const int64_t row_bytes = row_bytes_of(tensor);
    const int64_t bytes = static_cast<int64_t>(given->second.bytes.size());
    const int64_t rows = bytes / row_bytes;
    const int64_t dimension = tensor.shape[0];
    int64_t* const size = dimension == kTokens ? &sizes.tokens : dimension < 0 ? &sizes.sequences : nullptr;
    const int64_t expected = size && *size == kUnknown ? kUnknown : sizes.of(dimension);
    if (bytes % row_bytes != 0 || (expected != kUnknown && rows != expected))
      invalid_input("expected " + (expected != kUnknown ? std::to_string(expected) + " rows of " : std::string("whole rows of ")) +
                    std::to_string(row_bytes) + " bytes for input \"" + name + "\" but received " + std::to_string(bytes) + " bytes");
    if (size) *size = dimension == kSequenceBounds ? rows - 1 : rows;
    if (size && *size < 0) invalid_input("expected 1 to " + std::to_string(max_sequences_) + " sequences but received no bounds of them");
  }
  if (request.inputs.size() != inputs_.size())
    invalid_input("expected " + std::to_string(inputs_.size()) + " inputs but received " + std::to_string(request.inputs.size()));
  if (sizes.tokens > max_tokens_)
    invalid_input("expected at most " + std::to_string(max_tokens_) + " tokens but received " + std::to_string(sizes.tokens));
  if (sizes.sequences > max_sequences_)
    invalid_input("expected 1 to " + std::to_string(max_sequences_) + " sequences but received " + std::to_string(sizes.sequences));
  return {sizes.tokens == kUnknown ? max_tokens_ : sizes.tokens, sizes.sequences == kUnknown ? max_sequences_ : sizes.sequences};
}

Call Program::make_call(const Operation& operation, const Sizes& sizes, const RunRequest& request) const {
  Call call;
  for (const Operand& operand : operation.operands) call.tensors.push_back(operand.present ? resolve(operand.tensor, sizes) : Tensor{});
  for (const AttributeDescription& attribute : operation.attributes) {
    double value = attribute.value;
    if (!attribute.scalar.empty()) {
      const auto given = request.scalars.find(attribute.scalar);
      value = given == request.scalars.end() ? std::numeric_limits<double>::quiet_NaN() : given->second;
    }
    call.attributes.push_back(value);
  }
  return call;
}

Program::Sizes Program::check_request(const RunRequest& request) const {
  for (const Operation& operation : operations_)
    for (const AttributeDescription& attribute : operation.attributes)
      if (!attribute.scalar.empty() && !request.scalars.contains(attribute.scalar))
        invalid_input("expected scalar \"" + attribute.scalar + "\" but it is missing");
  return check_inputs(request);
}

}  // namespace limo
