#pragma once

#include "runtime/op_spec.h"

// Attention over a cache of keys and values. The cache of a layer is N rows in pages of page_size rows; the pages of a sequence, in
// the order of its tokens, stand in its row of page_table, so token u of it lies in row page_table[u / page_size]·page_size +
// u % page_size (Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", 2023). Several
// sequences may share pages. Grouped queries, scores, softmax and sums as in attention.h.
namespace limo {

// Split-K of attention_decode: keys of one task, whole pages. The partial results are combined in order, so the bits do not depend on the
// number of threads.
constexpr int64_t kDecodeSplitKeys = 512;
constexpr int64_t kMostPageSize = 128;

// cache[slots[t]] = row t, for keys and for values. The slots of a run must differ.
struct CacheAppend {
  static constexpr const char* kName = "cache_append";
  Tensor k_cache;  // [N, W], some rows written
  Tensor v_cache;  // [N, W], some rows written
  Tensor k;        // [T, W]
  Tensor v;        // [T, W]
  Tensor slots;    // [T] int32, each in [0, N)

  static constexpr OperandSpec<CacheAppend> kOperands[] = {
      {"k_cache", &CacheAppend::k_cache, Access::kReadWrite, "N W"},
      {"v_cache", &CacheAppend::v_cache, Access::kReadWrite, "N W"},
      {"k", &CacheAppend::k, Access::kRead, "T W"},
      {"v", &CacheAppend::v, Access::kRead, "T W"},
      {"slots", &CacheAppend::slots, Access::kRead, "T", ElementType::kI32},
  };
};

// The last tokens of each sequence attend to all before them: sequence s has lengths[s] tokens in the cache, the last
// n = cu_seqlens[s+1] − cu_seqlens[s] of which are the rows of this run, and the i-th of those sees tokens 0 … lengths[s] − n + i.
// A row's numbers depend on its query and its sequence alone, not on how the tokens were cut into runs.
struct AttentionPrefill {
  static constexpr const char* kName = "attention_prefill";
  Tensor out;         // [T, Q], written; Q = H·D
  Tensor q;           // [T, Q]
  Tensor k_cache;     // [N, W]; W = K·D
  Tensor v_cache;     // [N, W]
  Tensor page_table;  // [S, P] int32; the entries that lengths calls for in [0, N / page_size)
  Tensor lengths;     // [S] int32, each in [n, P·page_size]
  Tensor cu_seqlens;  // [B] int32, B = S + 1: 0 = first < … < last = T
  double head_dim = 0;
  double scale = 0;
  double page_size = 0;

  static constexpr OperandSpec<AttentionPrefill> kOperands[] = {
      {"out", &AttentionPrefill::out, Access::kWrite, "T Q"},
      {"q", &AttentionPrefill::q, Access::kRead, "T Q"},
      {"k_cache", &AttentionPrefill::k_cache, Access::kRead, "N W"},
      {"v_cache", &AttentionPrefill::v_cache, Access::kRead, "N W"},
      {"page_table", &AttentionPrefill::page_table, Access::kRead, "S P", ElementType::kI32},
      {"lengths", &AttentionPrefill::lengths, Access::kRead, "S", ElementType::kI32},
      {"cu_seqlens", &AttentionPrefill::cu_seqlens, Access::kRead, "B", ElementType::kI32},
  };
  static constexpr AttributeSpec<AttentionPrefill> kAttributes[] = {{"head_dim", &AttentionPrefill::head_dim},
                                                                    {"scale", &AttentionPrefill::scale},
                                                                    {"page_size", &AttentionPrefill::page_size}};
};

// One new token of each sequence: row t sees tokens 0 … lengths[t] − 1 of the sequence whose pages are row t of page_table. The keys are
// split into pieces of kDecodeSplitKeys, each with its own softmax; the partial results are combined by their maxima (flash-decoding).
struct AttentionDecode {
  static constexpr const char* kName = "attention_decode";
  Tensor out;         // [T, Q], written
  Tensor partial;     // [M, E], written; working memory, M ≥ T·⌈P·page_size / kDecodeSplitKeys⌉, E = Q + 2·H
  Tensor q;           // [T, Q]
  Tensor k_cache;     // [N, W]
  Tensor v_cache;     // [N, W]
  Tensor page_table;  // [T, P] int32
  Tensor lengths;     // [T] int32, each in [1, P·page_size]
  double head_dim = 0;
  double scale = 0;
  double page_size = 0;

  static constexpr OperandSpec<AttentionDecode> kOperands[] = {
      {"out", &AttentionDecode::out, Access::kWrite, "T Q"},
      {"partial", &AttentionDecode::partial, Access::kWrite, "M E", ElementType::kF32},
      {"q", &AttentionDecode::q, Access::kRead, "T Q"},
      {"k_cache", &AttentionDecode::k_cache, Access::kRead, "N W"},
      {"v_cache", &AttentionDecode::v_cache, Access::kRead, "N W"},
      {"page_table", &AttentionDecode::page_table, Access::kRead, "T P", ElementType::kI32},
      {"lengths", &AttentionDecode::lengths, Access::kRead, "T", ElementType::kI32},
  };
  static constexpr AttributeSpec<AttentionDecode> kAttributes[] = {{"head_dim", &AttentionDecode::head_dim},
                                                                   {"scale", &AttentionDecode::scale},
                                                                   {"page_size", &AttentionDecode::page_size}};
};

// Number of pieces that the keys of a row are split into.
LIMO_INLINE int64_t decode_splits(int64_t length) { return (length + kDecodeSplitKeys - 1) / kDecodeSplitKeys; }

}  // namespace limo
