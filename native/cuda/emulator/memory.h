#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace limo::cuda::emulator {

constexpr unsigned char kPoison = 0xff;  // four or two of these bytes are a NaN

// Memory between two pages that nobody may touch. Its end lies against the upper one as far as the alignment allows; what is
// left over on either side is filled with a pattern that tells whether somebody wrote there.
class GuardedMemory {
 public:
  // `alignment` is a power of two of at most a page. data() is nullptr when the system gives no more memory.
  GuardedMemory(size_t bytes, size_t alignment);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  unsigned char* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  void poison();
  bool intact() const;
  // Describes an address relative to this memory: "12 bytes past the end of", or empty when it is neither inside nor near.
  std::string place(const void* address) const;

 private:
  unsigned char* mapping_ = nullptr;
  size_t mapped_bytes_ = 0;
  unsigned char* data_ = nullptr;
  size_t bytes_ = 0;
};

// ---- the device's memory ----

// nullptr when there is no room for it.
void* allocate_device_memory(size_t bytes);
// False when it is no allocation.
bool free_device_memory(void* data);
bool is_device_memory(const void* data, size_t bytes);
size_t device_memory_total();
size_t device_memory_free();
// Message about a store just outside of an allocation, or empty.
std::string find_damaged_memory();
// Describes an address relative to the allocations.
std::string describe_device_address(const void* address);

}  // namespace limo::cuda::emulator
