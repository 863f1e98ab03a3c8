#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cuda/hopper.h"
#include "cuda/runtime.h"

namespace limo::cuda {

// A mistake that kernels are easily written with, and the same kernel without it.
struct FaultCase {
  const char* name;
  // Part of what the emulator says of the mistake; nullptr: it says nothing, and the kernel's numbers are wrong.
  const char* message;
  // Runs the kernel with or without the mistake; whether its numbers are right.
  bool (*run)(bool faulty);
};

std::span<const FaultCase> thread_faults();
std::span<const FaultCase> memory_faults();
std::span<const FaultCase> hopper_faults();
std::span<const FaultCase> stream_faults();

template <class T>
T* to_device(const std::vector<T>& values) {
  void* data;
  check_cuda(cudaMalloc(&data, values.size() * sizeof(T)), "an allocation");
  check_cuda(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), "a copy");
  return static_cast<T*>(data);
}

template <class T>
std::vector<T> from_device(const T* data, size_t count) {
  std::vector<T> values(count);
  check_cuda(cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost), "a copy");
  return values;
}

// first, first + 1, …
inline std::vector<float> ascending(int count, float first = 0) {
  std::vector<float> values(count);
  for (int i = 0; i < count; ++i) values[i] = first + static_cast<float>(i);
  return values;
}

}  // namespace limo::cuda
