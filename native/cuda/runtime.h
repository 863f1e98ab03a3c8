#pragma once

#include <cstdint>
#include <memory>
#include <source_location>
#include <tuple>
#include <type_traits>

#include "core/tensor.h"

// The host's side of CUDA: its runtime, or the emulator's, with errors as exceptions and typed launches.
#if defined(LIMO_CUDA_EMULATOR)
#include "cuda/emulator/runtime.h"
#else
#include <cuda.h>
#include <cuda_runtime.h>
#endif

namespace limo::cuda {

#if !defined(LIMO_CUDA_EMULATOR)
using TensorMap = CUtensorMap;
#endif

// Throws limo::Error unless the call succeeded: kOutOfMemory for device memory, else kDeviceFailed. `what` completes
// "… failed": "the copy of the weights".
void check_cuda(cudaError_t error, const char* what);

// Grid size and, for errors, the source location of the launch.
struct LaunchGrid {
  dim3 blocks;
  std::source_location site;
  LaunchGrid(dim3 blocks, std::source_location site = std::source_location::current()) : blocks(blocks), site(site) {}
  LaunchGrid(unsigned x, unsigned y = 1, unsigned z = 1, std::source_location site = std::source_location::current())
      : blocks(x, y, z), site(site) {}
};

// Throws limo::Error when a launch at that place has failed.
void check_launch(cudaError_t error, const std::source_location& site);

// Raises how much shared memory the kernel may have, where it wants more than it gets without asking.
void allow_shared_memory(const void* kernel, size_t bytes, const std::source_location& site);

// Starts kernel(arguments…) on blocks of threads with so much dynamic shared memory. A grid of no blocks is no launch.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), LaunchGrid grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments));
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  const auto address = reinterpret_cast<const void*>(kernel);
  allow_shared_memory(address, shared_bytes, grid.site);
  std::tuple<std::remove_const_t<Parameters>...> values(static_cast<std::remove_const_t<Parameters>>(arguments)...);
#if defined(LIMO_CUDA_EMULATOR)
  struct Call {
    void (*kernel)(Parameters...);
    decltype(values) arguments;
  };
  const auto call = std::make_shared<const Call>(Call{kernel, values});
  const auto run_thread = [](const void* of) {
    const auto& [kernel, arguments] = *static_cast<const Call*>(of);
    std::apply(kernel, arguments);
  };
  check_launch(emulator::launch_kernel(address, stream, {run_thread, call.get(), grid.blocks, block, static_cast<uint32_t>(shared_bytes), 0}, call),
               grid.site);
#else
  std::apply(
      [&](auto&... value) {
        void* pointers[] = {&value..., nullptr};
        check_launch(cudaLaunchKernel(address, grid.blocks, block, pointers, shared_bytes, stream), grid.site);
      },
      values);
#endif
}

// A map for tma_load_3d of a bfloat16 tensor: sizes in elements, the contiguous dimension first; strides of the other two in
// bytes; boxes of 64 contiguous elements, swizzled over 128 bytes. What lies outside of the sizes is read as 0. The base and
// the strides must be multiples of 16 bytes.
TensorMap make_tensor_map_3d(const Bf16* base, const int64_t (&sizes)[3], const int64_t (&strides_bytes)[2], const int (&box)[3]);

}  // namespace limo::cuda
