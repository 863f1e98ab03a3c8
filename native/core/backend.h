#pragma once

namespace limo {

// The sets of kernels: those of the CPU, and those of CUDA, which the emulator runs as well.
enum class Backend { kCpu, kCuda };

inline const char* backend_name(Backend backend) { return backend == Backend::kCpu ? "cpu" : "cuda"; }

}  // namespace limo
