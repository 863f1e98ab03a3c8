#pragma once

#include <cstddef>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "core/tensor.h"

namespace limo {

struct FileRange {
  int descriptor;     // open for reading; the caller keeps it open
  uint64_t offset;    // bytes from the start of the file
  uint64_t elements;  // numbers to read
  DType dtype;        // how the file has them: kF32, kBF16 or kF16
  DType to;           // how the arena is to have them: kF32, or kBF16, rounded to the nearest (ties to even)
};

// kPinnedHost: memory of the host that the device copies to and from while both go on. On the CPU there is no difference.
enum class MemoryKind { kDevice, kPinnedHost };

class Device;

// One contiguous piece of a device's memory, zero at first.
class Arena {
 public:
  explicit Arena(size_t bytes) : bytes_(bytes) {}
  virtual ~Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // The address that operations of the device know it by; the host may follow it only where the device is the CPU.
  char* data() const { return data_.load(std::memory_order_relaxed); }
  size_t bytes() const { return bytes_; }
  // Whether kernels of the CPU can reach it.
  virtual bool is_on_host() const = 0;
  // Whether its memory was given back.
  bool closed() const { return closed_; }
  const Device* owner() const { return owner_; }
  void belong_to(const Device& owner) { owner_ = &owner; }

  // Throws kInputInvalid unless [offset, offset + length) lies inside.
  void check_range(uint64_t offset, uint64_t length) const;

  // On the device's thread, inside the range that was checked.
  virtual void write(uint64_t offset, const char* from, uint64_t length) = 0;
  virtual void read(uint64_t offset, char* to, uint64_t length) const = 0;
  // Reads numbers of a file. Throws kIoFailed.
  virtual void load(uint64_t offset, const FileRange& range) = 0;

  // While such a lock is held, no other device writes, or touches, the memory, and it is there. Throw kDeviceClosed when it was given back
  // before. Whoever locks several takes them in the order of their addresses.
  std::shared_lock<std::shared_mutex> lock_to_read() const;
  std::unique_lock<std::shared_mutex> lock_to_write() const;
  // Gives the memory back before the end of the object's life, once nobody has it locked; nothing may use it after.
  void close();

 protected:
  virtual void release() = 0;

  std::atomic<char*> data_ = nullptr;
  const size_t bytes_;

 private:
  const Device* owner_ = nullptr;
  mutable std::shared_mutex use_;
  std::atomic<bool> closed_ = false;
};

// Memory of the process. Pages come from the operating system when they are first touched.
class HostArena : public Arena {
 public:
  explicit HostArena(size_t bytes);  // throws kOutOfMemory
  ~HostArena() override;

  void write(uint64_t offset, const char* from, uint64_t length) override;
  void read(uint64_t offset, char* to, uint64_t length) const override;
  void load(uint64_t offset, const FileRange& range) override;
  bool is_on_host() const override { return true; }
  void release() override;

 private:
  size_t mapped_bytes_ = 0;
};

// Reads numbers from a file into `to`, converted piece by piece, so that no second copy of the weights is ever in memory. Throws kIoFailed
// when the file is shorter than the range.
void load_numbers(char* to, const FileRange& range);

}  // namespace limo
