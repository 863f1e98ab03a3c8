#include "runtime/program.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "runtime/hazards.h"

namespace limo {
namespace {

[[noreturn]] void invalid(const std::string& message) { throw Error(ErrorCode::kProgramInvalid, message); }

}  // namespace

// Token ids, labels and bounds of sequences say where operations read and write. Their values are checked before the first
// operation of a run, so no operation may write over them.
void Program::check_integers_last() const {
  struct Range {
    uint64_t start, end;  // bytes
    const Arena* arena;
    size_t operation, operand;
  };
  std::map<std::pair<const Arena*, uint64_t>, Range> integers;  // by arena and start
  std::vector<Range> written;
  for (size_t s = 0; s < operations_.size(); ++s)
    for (size_t i = 0; i < operations_[s].operands.size(); ++i) {
      const auto& [present, tensor] = operations_[s].operands[i];
      if (!present) continue;
      const Range range{tensor.offset, tensor.offset + largest_extent(tensor), &arena_of(tensor), s, i};
      if (operations_[s].entry->operands[i].access != Access::kRead) written.push_back(range);
      if (operations_[s].entry->operands[i].element != ElementType::kI32) continue;
      Range& known = integers.try_emplace({range.arena, range.start}, range).first->second;
      if (known.end < range.end) known = range;
    }
  const auto place = [this](const Range& range) {
    const OpEntry& entry = *operations_[range.operation].entry;
    return std::string(entry.operands[range.operand].name) + " of " + operation_text(range.operation, entry.name);
  };
  for (const Range& range : written)
    for (const auto& [key, known] : integers)
      if (known.arena == range.arena && known.start < range.end && range.start < known.end)
        invalid("expected that no operation writes over " + place(known) + ", which is checked before a run, but " + place(range) + " writes over it");
}

// Kernels go on with integers that they have just written, as `route` does: nothing else of the operation may lie there.
void Program::check_written_integers() const {
  for (size_t n = 0; n < operations_.size(); ++n) {
    const Operation& operation = operations_[n];
    const auto& rules = operation.entry->operands;
    for (size_t i = 0; i < rules.size(); ++i) {
      const TensorDescription& written = operation.operands[i].tensor;
      if (!operation.operands[i].present || rules[i].element != ElementType::kDeviceI32 || rules[i].access == Access::kRead) continue;
      for (size_t o = 0; o < rules.size(); ++o) {
        const TensorDescription& other = operation.operands[o].tensor;
        if (o == i || !operation.operands[o].present || other.arena != written.arena) continue;
        if (written.offset < other.offset + largest_extent(other) && other.offset < written.offset + largest_extent(written))
          invalid("expected " + std::string(rules[i].name) + " apart from " + rules[o].name + " of " + operation_text(n, operation.entry->name));
      }
    }
  }
}

void Program::check_waits() {
  for (size_t i = 0; i < operations_.size(); ++i) {
    const Operation& operation = operations_[i];
    const std::string place = operation_text(i, operation.entry->name);
    if (operation.queue != Queue::kCompute && !operation.entry->moves_memory)
      invalid("expected the compute queue for " + place + ": the others take operations that only move memory");
    for (const size_t awaited : operation.after) {
      if (awaited >= i) invalid("expected " + place + " to wait for earlier operations but received " + std::to_string(awaited));
      if (operations_[awaited].queue != operation.queue) operations_[awaited].is_awaited = true;
    }
  }
  check_hazards(*this);
}

bool Program::uses(Queue queue) const {
  return std::any_of(operations_.begin(), operations_.end(), [&](const Operation& operation) { return operation.queue == queue; });
}

}  // namespace limo
