#pragma once

#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/attention_decode.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/expert_linear.h"
#include "ops/head_norm.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"
#include "ops/linear_decode.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/route.h"
#include "ops/sample.h"
#include "ops/swiglu.h"

// Every operation, one line each.
#define LIMO_FOR_EACH_OP(X) \
  X(Embedding)              \
  X(EmbeddingBackward)      \
  X(RmsNorm)                \
  X(RmsNormBackward)        \
  X(Linear)                 \
  X(LinearBackwardInput)    \
  X(LinearBackwardWeight)   \
  X(RotaryTable)            \
  X(Rope)                   \
  X(HeadNorm)               \
  X(HeadNormBackward)       \
  X(Attention)              \
  X(AttentionBackward)      \
  X(Swiglu)                 \
  X(SwigluBackward)         \
  X(LinearCrossEntropy)     \
  X(Add)                    \
  X(Copy)                   \
  X(Cast)                   \
  X(Zero)                   \
  X(GradNorm)               \
  X(AdamW)                  \
  X(CacheAppend)            \
  X(AttentionPrefill)       \
  X(AttentionDecode)        \
  X(LinearDecode)           \
  X(Logits)                 \
  X(Sample)                 \
  X(Route)                  \
  X(ExpertLinear)
