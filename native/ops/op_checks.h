#pragma once

#include "ops/op_list.h"

namespace limo {

// Relations between an operation's shapes and attributes that shape letters do not express, checked once when a program is compiled; throws
// kProgramInvalid.
template <class Op>
void check(const Op&) {}
template <> void check(const RmsNorm&);
template <> void check(const RmsNormBackward&);
template <> void check(const LinearBackwardWeight&);
template <> void check(const Rope&);
template <> void check(const HeadNorm&);
template <> void check(const HeadNormBackward&);
template <> void check(const Attention&);
template <> void check(const AttentionBackward&);
template <> void check(const LinearCrossEntropy&);
template <> void check(const AttentionPrefill&);
template <> void check(const AttentionDecode&);
template <> void check(const Sample&);
template <> void check(const Route&);

// Checks of input values that keep a run inside its buffers; throws kInputInvalid.
template <class Op>
void check_values(const Op&) {}
template <> void check_values(const Embedding&);
template <> void check_values(const EmbeddingBackward&);
template <> void check_values(const RotaryTable&);
template <> void check_values(const Attention&);
template <> void check_values(const AttentionBackward&);
template <> void check_values(const LinearCrossEntropy&);
template <> void check_values(const CacheAppend&);
template <> void check_values(const AttentionPrefill&);
template <> void check_values(const AttentionDecode&);
template <> void check_values(const Logits&);

}  // namespace limo
