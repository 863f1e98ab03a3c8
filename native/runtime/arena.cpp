#include "runtime/arena.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"

namespace limo {
namespace {

// Arenas are aligned to huge pages: the first touch of a page costs about 15 µs on a virtual machine, of 2 MiB as of 4 KiB.
constexpr size_t kHugePage = 2 << 20;
// Bytes of a file that are read at a time before they are converted: they stay in the processor's cache.
constexpr uint64_t kWindow = 1 << 20;

float bfloat16_to_float(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

float float16_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  uint32_t wide;
  if (exponent == 0x1f) {
    wide = sign | 0x7f800000 | fraction << 13;
  } else if (exponent != 0) {
    wide = sign | (exponent + 112) << 23 | fraction << 13;
  } else {
    const float subnormal = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -subnormal : subnormal;
  }
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t round_to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void read_bytes(int descriptor, uint64_t offset, char* to, uint64_t length) {
  for (uint64_t done = 0; done < length;) {
    const ssize_t count = pread(descriptor, to + done, length - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(ErrorCode::kIoFailed, std::string("cannot read the file: ") + std::strerror(errno));
    if (count == 0) throw Error(ErrorCode::kIoFailed, "the file was cut off while it was read");
    done += static_cast<uint64_t>(count);
  }
}

void convert(char* to, const char* from, uint64_t elements, const FileRange& range) {
  if (range.dtype == range.to) {
    std::memcpy(to, from, elements * static_cast<uint64_t>(dtype_bytes(range.to)));
    return;
  }
  for (uint64_t i = 0; i < elements; ++i) {
    float value;
    if (range.dtype == DType::kF32) {
      std::memcpy(&value, from + 4 * i, 4);
    } else {
      uint16_t bits;
      std::memcpy(&bits, from + 2 * i, 2);
      value = range.dtype == DType::kBF16 ? bfloat16_to_float(bits) : float16_to_float(bits);
    }
    if (range.to == DType::kF32) {
      std::memcpy(to + 4 * i, &value, 4);
    } else {
      const uint16_t rounded = round_to_bfloat16(value);
      std::memcpy(to + 2 * i, &rounded, 2);
    }
  }
}

}  // namespace

HostArena::HostArena(size_t bytes) : Arena(bytes) {
  if (bytes > SIZE_MAX - 2 * kHugePage)
    throw Error(ErrorCode::kOutOfMemory, "expected an arena that the machine can address but received " + std::to_string(bytes) + " bytes");
  // Room to start at a huge page's boundary; what is never touched costs nothing.
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage + kHugePage;
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    throw Error(ErrorCode::kOutOfMemory, "cannot allocate an arena of " + std::to_string(bytes) + " bytes: " + std::strerror(errno));
  const uintptr_t start = reinterpret_cast<uintptr_t>(mapped), aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > start) munmap(mapped, aligned - start);
  data_ = reinterpret_cast<char*>(aligned);
  mapped_bytes_ = size - (aligned - start);
  if (bytes >= kHugePage) madvise(data(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
}

HostArena::~HostArena() { HostArena::release(); }

void HostArena::release() {
  if (data_) munmap(data(), mapped_bytes_);
  data_ = nullptr;
}

void HostArena::write(uint64_t offset, const char* from, uint64_t length) {
  if (length > 0) std::memcpy(data() + offset, from, length);
}

void HostArena::read(uint64_t offset, char* to, uint64_t length) const {
  if (length > 0) std::memcpy(to, data() + offset, length);
}

void HostArena::load(uint64_t offset, const FileRange& range) { load_numbers(data() + offset, range); }

namespace {

template <class Lock>
Lock unless_closed(Lock lock, const std::atomic<bool>& closed) {
  if (closed) throw Error(ErrorCode::kDeviceClosed, "the device that the memory belongs to is closed");
  return lock;
}

}  // namespace

std::shared_lock<std::shared_mutex> Arena::lock_to_read() const { return unless_closed(std::shared_lock<std::shared_mutex>(use_), closed_); }

std::unique_lock<std::shared_mutex> Arena::lock_to_write() const { return unless_closed(std::unique_lock<std::shared_mutex>(use_), closed_); }

void Arena::close() {
  const std::unique_lock<std::shared_mutex> lock(use_);
  closed_ = true;
  release();
}

void Arena::check_range(uint64_t offset, uint64_t length) const {
  if (offset <= bytes_ && length <= bytes_ - offset) return;
  throw Error(ErrorCode::kInputInvalid, "expected a range inside the arena of " + std::to_string(bytes_) + " bytes but received " +
                                            std::to_string(length) + " bytes at offset " + std::to_string(offset));
}

void load_numbers(char* to, const FileRange& range) {
  const uint64_t element_bytes = static_cast<uint64_t>(dtype_bytes(range.dtype)), stored_bytes = static_cast<uint64_t>(dtype_bytes(range.to));
  struct stat status;
  if (fstat(range.descriptor, &status) != 0) throw Error(ErrorCode::kIoFailed, std::string("cannot read the file's size: ") + std::strerror(errno));
  const uint64_t size = static_cast<uint64_t>(status.st_size), length = range.elements * element_bytes;
  if (range.offset > size || length > size - range.offset)
    throw Error(ErrorCode::kIoFailed, "expected " + std::to_string(length) + " bytes at offset " + std::to_string(range.offset) +
                                          " but the file has " + std::to_string(size) + " bytes");
  std::vector<char> window(range.dtype == range.to ? 0 : std::min(length, kWindow));
  for (uint64_t done = 0; done < length;) {
    const uint64_t bytes = std::min(length - done, kWindow);
    char* const read_to = window.empty() ? to + done : window.data();
    read_bytes(range.descriptor, range.offset + done, read_to, bytes);
    if (!window.empty()) convert(to + done / element_bytes * stored_bytes, window.data(), bytes / element_bytes, range);
    done += bytes;
  }
}

}  // namespace limo
