#include "cuda/emulator/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

namespace limo::cuda::emulator {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kDeviceAlignment = 256;
constexpr unsigned char kCanary = 0xa5;

size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

bool all_canaries(const unsigned char* from, const unsigned char* to) {
  return std::all_of(from, to, [](unsigned char byte) { return byte == kCanary; });
}

struct DeviceMemory {
  std::mutex mutex;
  std::map<uintptr_t, std::unique_ptr<GuardedMemory>> allocations;  // by address
  size_t used = 0;
};

// Never destroyed: a thread of a device may outlive the static objects of a process that ends.
DeviceMemory& device_memory() {
  static DeviceMemory& memory = *new DeviceMemory;
  return memory;
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, size_t alignment) : bytes_(bytes) {
  const size_t size = round_up(round_up(std::max<size_t>(bytes, 1), alignment), kPage);
  mapped_bytes_ = size + 2 * kPage;
  void* mapping = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return;
  mapping_ = static_cast<unsigned char*>(mapping);
  unsigned char* first = mapping_ + kPage;
  if (mprotect(first, size, PROT_READ | PROT_WRITE) != 0) return;
  if (size >= 2 * kHugePage) madvise(first, size, MADV_HUGEPAGE);
  data_ = first + size - round_up(bytes, alignment);
  std::memset(first, kCanary, data_ - first);
  std::memset(data_ + bytes, kCanary, first + size - (data_ + bytes));
}

GuardedMemory::~GuardedMemory() {
  if (mapping_) munmap(mapping_, mapped_bytes_);
}

void GuardedMemory::poison() { std::memset(data_, kPoison, bytes_); }

bool GuardedMemory::intact() const {
  return all_canaries(mapping_ + kPage, data_) && all_canaries(data_ + bytes_, mapping_ + mapped_bytes_ - kPage);
}

std::string GuardedMemory::place(const void* address) const {
  const auto* byte = static_cast<const unsigned char*>(address);
  if (byte < mapping_ || byte >= mapping_ + mapped_bytes_) return "";
  if (byte < data_) return std::to_string(data_ - byte) + " bytes before the start of";
  if (byte >= data_ + bytes_) return std::to_string(byte - (data_ + bytes_)) + " bytes past the end of";
  return "byte " + std::to_string(byte - data_) + " of";
}

void* allocate_device_memory(size_t bytes) {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  if (bytes == 0 || bytes > device_memory_total() - memory.used) return nullptr;
  auto allocation = std::make_unique<GuardedMemory>(bytes, kDeviceAlignment);
  void* data = allocation->data();
  if (!data) return nullptr;
  allocation->poison();
  memory.allocations.emplace(reinterpret_cast<uintptr_t>(data), std::move(allocation));
  memory.used += bytes;
  return data;
}

bool free_device_memory(void* data) {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  const auto found = memory.allocations.find(reinterpret_cast<uintptr_t>(data));
  if (found == memory.allocations.end()) return false;
  memory.used -= found->second->bytes();
  memory.allocations.erase(found);
  return true;
}

bool is_device_memory(const void* data, size_t bytes) {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  const auto address = reinterpret_cast<uintptr_t>(data);
  auto next = memory.allocations.upper_bound(address);
  if (next == memory.allocations.begin()) return false;
  const auto& [start, allocation] = *--next;
  return address - start <= allocation->bytes() && bytes <= allocation->bytes() - (address - start);
}

size_t device_memory_total() {
  // The rest is for the host's side of a program.
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * kPage / 2;
}

size_t device_memory_free() {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  return device_memory_total() - memory.used;
}

std::string find_damaged_memory() {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  for (const auto& [start, allocation] : memory.allocations) {
    if (!allocation->intact()) return "a store just outside of an allocation of " + std::to_string(allocation->bytes()) + " bytes";
  }
  return "";
}

std::string describe_device_address(const void* address) {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  for (const auto& [start, allocation] : memory.allocations) {
    const std::string place = allocation->place(address);
    if (!place.empty()) return place + " an allocation of " + std::to_string(allocation->bytes()) + " bytes";
  }
  return "far from any allocation";
}

}  // namespace limo::cuda::emulator
