#pragma once

#include <cstdint>

#include "cuda/elements.h"

// The paged cache of keys and values (ops/attention_decode.h), as the attention kernels read it.
namespace limo::cuda {

template <class T>
struct PagedKeys {
  const T *k, *v;
  int64_t k_stride, v_stride;
  const int32_t* page_table;
  int64_t table_stride;
  int page_shift;  // a page has 2^page_shift rows

  // Row of the cache that holds a token of a sequence.
  LIMO_DEVICE int64_t row_of(int64_t sequence, int token) const {
    const int64_t page = page_table[sequence * table_stride + (token >> page_shift)];
    return page << page_shift | (token & ((1 << page_shift) - 1));
  }
};

}  // namespace limo::cuda
