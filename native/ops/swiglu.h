#pragma once

#include "runtime/op_spec.h"

namespace limo {

// out = silu(gate) · up,  silu(x) = x · σ(x)   (Shazeer, "GLU Variants Improve Transformer", 2020)
struct Swiglu {
  static constexpr const char* kName = "swiglu";
  Tensor out;   // [T, F], written
  Tensor gate;  // [T, F]
  Tensor up;    // [T, F]

  static constexpr OperandSpec<Swiglu> kOperands[] = {
      {"out", &Swiglu::out, Access::kWrite, "T F"},
      {"gate", &Swiglu::gate, Access::kRead, "T F"},
      {"up", &Swiglu::up, Access::kRead, "T F"},
  };
};

// d_up = d_out · silu(gate),  d_gate = d_out · up · σ(gate) · (1 + gate·(1 − σ(gate)))
struct SwigluBackward {
  static constexpr const char* kName = "swiglu_backward";
  Tensor d_gate;  // [T, F], written
  Tensor d_up;    // [T, F], written
  Tensor d_out;   // [T, F]
  Tensor gate;    // [T, F]
  Tensor up;      // [T, F]

  static constexpr OperandSpec<SwigluBackward> kOperands[] = {
      {"d_gate", &SwigluBackward::d_gate, Access::kWrite, "T F"},
      {"d_up", &SwigluBackward::d_up, Access::kWrite, "T F"},
      {"d_out", &SwigluBackward::d_out, Access::kRead, "T F"},
      {"gate", &SwigluBackward::gate, Access::kRead, "T F"},
      {"up", &SwigluBackward::up, Access::kRead, "T F"},
  };
};

}  // namespace limo
