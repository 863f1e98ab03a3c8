#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor.h"

namespace limo {

// One contiguous piece of zeroed memory. Pages come from the operating system when they are first touched.
class Arena {
 public:
  explicit Arena(size_t bytes);  // throws kOutOfMemory
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Gives the memory back before the end of the object's life; nothing may use it after.
  void release();

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  // Throws kInputInvalid unless [offset, offset + length) lies inside.
  void check_range(uint64_t offset, uint64_t length) const;

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
  size_t mapped_bytes_ = 0;
};

struct FileRange {
  int descriptor;     // open for reading; the caller keeps it open
  uint64_t offset;    // bytes from the start of the file
  uint64_t elements;  // numbers to read
  DType dtype;        // how the file has them: kF32, kBF16 or kF16
};

// Reads numbers from a file through a moving window of its pages into `to` as float32, so that no second copy of the
// weights is ever in memory. Throws kIoFailed when the file is shorter than the range or cannot be mapped.
void load_as_float32(float* to, const FileRange& range);

}  // namespace limo
