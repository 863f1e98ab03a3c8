#pragma once

#include "runtime/cuda_library.h"
#include "runtime/device.h"

namespace limo {

// An NVIDIA device, or its emulator, through the functions of a library. Each queue of a program is a stream; the host waits
// once, at the end of a run.
class CudaDevice : public Device {
 public:
  // Throws kDeviceUnavailable with the reason.
  CudaDevice(CudaLibrary library, int ordinal);
  ~CudaDevice() override;

  Backend backend() const override { return Backend::kCuda; }
  double measure(Ceiling ceiling, bool small) override;
  DeviceInfo info() const override;

 protected:
  std::shared_ptr<Arena> make_arena(size_t bytes, MemoryKind kind) override;
  RunOutputs run_program(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) override;
  void check(const Program& program) const override;
  bool reaches(const Arena& arena) const override;
  bool copies(const Arena& arena) const override;
  void release() override;

 private:
  friend class CudaArena;

  // The integers of a run that say where operations read and write, by their place on the device.
  struct Integers {
    const void* device;
    std::vector<int32_t> host;
  };

  // Memory that an arena has let go, on whichever thread: it is given back by the device's own, so that nobody else waits for it.
  void let_go(void* memory, MemoryKind kind) const;
  void give_back() const;
  // Calls a function of the library and throws what it says. After kDeviceFailed all calls throw.
  template <class Function, class... Arguments>
  void call(Function function, Arguments... arguments) const;
  void check_limits(const Program& program) const;
  std::vector<Integers> read_integers(const Program& program, const Program::Sizes& sizes, const RunRequest& request) const;
  void queue(const Program& program, const Program::Sizes& sizes, const RunRequest& request, RunOutputs& outputs,
             const std::function<bool()>& cancelled) const;

  void queue_operations(const Program& program, const Program::Sizes& sizes, const RunRequest& request, const std::function<bool()>& cancelled) const;

  const CudaApi& api_;
  const int ordinal_;
  CudaContext* context_ = nullptr;
  CudaDescription description_;
  std::atomic<uint64_t> refused_products_ = 0;  // up to the last run that ended
  mutable std::mutex failure_mutex_;
  mutable std::string failure_;  // what the device failed with
  mutable std::mutex unused_mutex_;
  mutable std::vector<std::pair<void*, MemoryKind>> unused_;
};

}  // namespace limo
