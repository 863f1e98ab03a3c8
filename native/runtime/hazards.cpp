#include "runtime/hazards.h"

#include <algorithm>
#include <array>
#include <optional>

namespace limo {
namespace {

// The memory of an operand in the largest run.
struct Range {
  const Arena* arena;
  uint64_t start, end;           // bytes
  uint64_t row_bytes, row_stride;  // of rows with space between them, in bytes
  bool is_written;
  size_t operand;
};

std::vector<Range> ranges_of(const Program& program, const Program::Operation& operation) {
  std::vector<Range> ranges;
  for (size_t i = 0; i < operation.operands.size(); ++i) {
    const auto& [present, tensor] = operation.operands[i];
    if (!present) continue;
    const uint64_t row_bytes = static_cast<uint64_t>(row_bytes_of(tensor)), stride = static_cast<uint64_t>(row_stride_bytes_of(tensor));
    ranges.push_back({&program.arena_of(tensor), tensor.offset, tensor.offset + program.largest_extent(tensor), row_bytes, stride,
                      operation.entry->operands[i].access != Access::kRead, i});
  }
  return ranges;
}

bool overlap(const Range& a, const Range& b) {
  if (a.arena != b.arena || a.start >= b.end || b.start >= a.end) return false;
  if (a.row_stride != b.row_stride || a.row_bytes >= a.row_stride) return true;
  // Columns of the same rows, as of a fused projection.
  const uint64_t ahead = (b.start % a.row_stride + a.row_stride - a.start % a.row_stride) % a.row_stride;
  return ahead < a.row_bytes || ahead + b.row_bytes > a.row_stride;
}

// For each queue, one more than the last of its operations that has ended: all before it have as well.
using Ended = std::array<size_t, kQueues>;

void join(Ended& to, const Ended& from) {
  for (size_t q = 0; q < kQueues; ++q) to[q] = std::max(to[q], from[q]);
}

}  // namespace

void check_hazards(const Program& program) {
  const auto& operations = program.operations();
  std::vector<Ended> after(operations.size());  // what has ended once an operation has
  std::vector<std::vector<Range>> ranges(operations.size());
  std::array<std::optional<size_t>, kQueues> last;
  std::array<std::vector<size_t>, kQueues> earlier;
  for (size_t i = 0; i < operations.size(); ++i) {
    const size_t queue = static_cast<size_t>(operations[i].queue);
    Ended before{};
    if (last[queue]) join(before, after[*last[queue]]);
    for (const size_t awaited : operations[i].after) join(before, after[awaited]);
    ranges[i] = ranges_of(program, operations[i]);
    for (size_t q = 0; q < kQueues; ++q) {
      if (q == queue) continue;
      // The last first: those from before[q] on may still run.
      for (auto other = earlier[q].rbegin(); other != earlier[q].rend() && *other >= before[q]; ++other)
        for (const Range& mine : ranges[i])
          for (const Range& theirs : ranges[*other]) {
            if ((!mine.is_written && !theirs.is_written) || !overlap(mine, theirs)) continue;
            const auto text = [&](size_t number, const Range& range) {
              const OpEntry& entry = *operations[number].entry;
              return std::string(entry.operands[range.operand].name) + " of " + operation_text(number, entry.name);
            };
            throw Error(ErrorCode::kProgramInvalid, "expected " + text(i, mine) + " to wait for op " + std::to_string(*other) + ": it may run at the same time and touches the memory of " +
                                                        text(*other, theirs));
          }
    }
    after[i] = before;
    after[i][queue] = i + 1;
    last[queue] = i;
    earlier[queue].push_back(i);
  }
}

}  // namespace limo
