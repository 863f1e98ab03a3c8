#pragma once

#include "runtime/op_spec.h"

namespace limo {

// out[t,c] = table[ids[t], c]
struct Embedding {
  static constexpr const char* kName = "embedding";
  Tensor out;    // [T, C], written
  Tensor table;  // [V, C]
  Tensor ids;    // [T] int32, each in [0, V)

  static constexpr OperandSpec<Embedding> kOperands[] = {
      {"out", &Embedding::out, Access::kWrite, "T C"},
      {"table", &Embedding::table, Access::kRead, "V C"},
      {"ids", &Embedding::ids, Access::kRead, "T", ElementType::kI32},
  };
};

// d_table[ids[t], c] += d_out[t,c], in the order of t.
struct EmbeddingBackward {
  static constexpr const char* kName = "embedding_backward";
  Tensor d_table;  // [V, C], accumulated
  Tensor d_out;    // [T, C]
  Tensor ids;      // [T] int32, each in [0, V)

  static constexpr OperandSpec<EmbeddingBackward> kOperands[] = {
      {"d_table", &EmbeddingBackward::d_table, Access::kAccumulate, "V C", ElementType::kF32},
      {"d_out", &EmbeddingBackward::d_out, Access::kRead, "T C"},
      {"ids", &EmbeddingBackward::ids, Access::kRead, "T", ElementType::kI32},
  };
};

}  // namespace limo
