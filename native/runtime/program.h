#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/queue.h"
#include "runtime/arena.h"
#include "runtime/op_registry.h"

namespace limo {

// A dimension that a run decides: the tokens at hand, the sequences at hand plus one (bounds of sequences), or the sequences.
constexpr int64_t kTokens = -1;
constexpr int64_t kSequenceBounds = -2;
constexpr int64_t kSequences = -3;

struct TensorDescription {
  size_t arena = 0;
  uint64_t offset = 0;  // bytes
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // one to three dimensions, each ≥ 1; the first may be kTokens, kSequenceBounds or kSequences
  int64_t row_stride = 0;      // elements; 0 = dense
};

struct OperandDescription {
  std::string name;
  TensorDescription tensor;
};

struct AttributeDescription {
  std::string name;
  double value = 0;
  std::string scalar;  // when not empty, the scalar of a run that gives the value
};

struct OpDescription {
  std::string op;
  std::vector<OperandDescription> operands;
  std::vector<AttributeDescription> attributes;
  Queue queue = Queue::kCompute;
  std::vector<size_t> after;  // numbers of earlier operations of other queues that it waits for
};

struct ProgramDescription {
  int64_t max_tokens = 0;
  int64_t max_sequences = 0;
  std::vector<OpDescription> ops;
  std::vector<OperandDescription> inputs;   // written before a run
  std::vector<OperandDescription> outputs;  // read after a run
};

struct InputValues {
  DType dtype;
  std::vector<char> bytes;
};

struct RunRequest {
  std::map<std::string, InputValues> inputs;
  std::map<std::string, double> scalars;
};

using RunOutputs = std::vector<std::pair<std::string, std::vector<float>>>;

// A program that has been checked against its arenas: every operand is there, has the dtype and shape its operation asks
// for, and lies inside its arena for any run of up to max_tokens tokens and max_sequences sequences. A device runs it.
class Program {
 public:
  struct Operand {
    bool present = false;
    TensorDescription tensor;
  };
  struct Operation {
    const OpEntry* entry;
    std::vector<Operand> operands;
    std::vector<AttributeDescription> attributes;
    Queue queue = Queue::kCompute;
    std::vector<size_t> after;
    bool is_awaited = false;  // by an operation of another queue
  };
  // What a run decides.
  struct Sizes {
    int64_t tokens, sequences;

    int64_t of(int64_t dimension) const {
      return dimension == kTokens ? tokens : dimension == kSequenceBounds ? sequences + 1 : dimension == kSequences ? sequences : dimension;
    }
  };

  // Throws kProgramInvalid, naming the operation and the operand.
  Program(ProgramDescription description, std::vector<std::shared_ptr<Arena>> arenas, Backend backend);

  const std::vector<Operation>& operations() const { return operations_; }
  const std::vector<OperandDescription>& inputs() const { return inputs_; }
  const std::vector<OperandDescription>& outputs() const { return outputs_; }
  // Whether a queue has operations; the compute queue alone otherwise.
  bool uses(Queue queue) const;
  // The arenas that it touches, and whether it writes to them.
  const std::map<const Arena*, bool>& uses_of_arenas() const { return uses_of_arenas_; }
  Arena& arena_of(const TensorDescription& tensor) const { return *arenas_[tensor.arena]; }

  // The sizes of a run. Throws kInputInvalid when inputs or scalars are missing or have another length.
  Sizes check_request(const RunRequest& request) const;
  // An operation with its operands at their places in the arenas.
  Call make_call(const Operation& operation, const Sizes& sizes, const RunRequest& request) const;
  // The same with operands at their largest, and NaN for scalars.
  Call make_largest_call(const Operation& operation) const { return make_call(operation, {max_tokens_, max_sequences_}, {}); }
  Tensor resolve(const TensorDescription& tensor, const Sizes& sizes) const;
  // Bytes from a tensor's first to its last number in the largest run; the largest number when that overflows.
  uint64_t largest_extent(const TensorDescription& tensor) const;

 private:
  Operation compile_operation(size_t number, const OpDescription& description) const;
  bool needs(const OperandInfo& info, std::optional<DType> compute) const;
  void check_tensor(const TensorDescription& tensor, const std::string& place) const;
  void check_integers_last() const;
  void check_written_integers() const;
  void check_waits();
  void find_uses_of_arenas();
  Sizes check_inputs(const RunRequest& request) const;

  const Backend backend_;
  int64_t max_tokens_, max_sequences_;
  std::vector<Operation> operations_;
  std::vector<OperandDescription> inputs_, outputs_;
  std::vector<std::shared_ptr<Arena>> arenas_;
  std::map<const Arena*, bool> uses_of_arenas_;
};

// Bytes of one row of a tensor, without what lies between rows.
int64_t row_bytes_of(const TensorDescription& tensor);
// Bytes from one to the next.
int64_t row_stride_bytes_of(const TensorDescription& tensor);
// How messages name an operation: "op 3 (linear)".
std::string operation_text(size_t number, const std::string& op);

// Calls body; an error of it says which operation it is about.
template <class Body>
void naming_operation(size_t number, const OpEntry& entry, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    throw Error(error.code(), std::string(error.what()) + " (" + operation_text(number, entry.name) + ")");
  }
}

}  // namespace limo
