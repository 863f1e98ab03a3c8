#pragma once

#include "core/tensor.h"

// How an operation declares its operands: one table in its header is what compilation checks a program against.
namespace limo {

enum class Access { kRead, kWrite, kAccumulate, kReadWrite };

// `shape` lists the dimensions by letter ("T C"); a letter stands for the same size in all operands of a call,
// a number for itself.
template <class Op>
struct OperandSpec {
  const char* name;
  Tensor Op::*member;
  Access access;
  const char* shape;
  DType dtype = DType::kF32;
  bool optional = false;
};

// A number of the call: fixed in the program, or a scalar that each run gives.
template <class Op>
struct AttributeSpec {
  const char* name;
  double Op::*member;
};

}  // namespace limo
