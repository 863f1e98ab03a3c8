#pragma once

#include "core/backend.h"
#include "core/tensor.h"

// How an operation declares its operands: one table in its header is what compilation checks a program against.
namespace limo {

enum class Access { kRead, kWrite, kAccumulate, kReadWrite };

// What an operand's elements may be. kCompute is the type that weights and activations have, float32 or bfloat16: the same
// for all such operands of a call. Statistics, sums over tokens and optimizer state are float32 in either case.
// kI32 are integers that the host knows and checks before a run: inputs, or what no operation writes. kDeviceI32 may have been written by
// an operation: nobody has checked them, and kernels bound them.
enum class ElementType { kCompute, kF32, kBF16, kI32, kDeviceI32 };

// `shape` lists the dimensions by letter ("T C"); a letter stands for the same size in all operands of a call,
// a number for itself.
template <class Op>
struct OperandSpec {
  const char* name;
  Tensor Op::*member;
  Access access;
  const char* shape;
  ElementType element = ElementType::kCompute;
  bool optional = false;
};

// Working memory that one backend needs besides the operands: whoever plans a program for that backend allocates it, of the size that the
// shape letters say, and it keeps nothing from one operation to the next. `only_bf16`: where the computation is in bfloat16.
template <class Op>
struct WorkingMemorySpec {
  Backend backend;
  const char* name;
  Tensor Op::*member;
  const char* shape;
  ElementType element;
  bool only_bf16 = false;
};

// A number of the call: fixed in the program, or a scalar that each run gives.
template <class Op>
struct AttributeSpec {
  const char* name;
  double Op::*member;
};

}  // namespace limo
