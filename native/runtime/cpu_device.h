#pragma once

#include "cpu/context.h"
#include "runtime/device.h"
#include "runtime/op_registry.h"
#include "runtime/thread_pool.h"

namespace limo {

// The CPU as a device: a pool of threads and their working memory.
class CpuDevice : public Device {
 public:
  CpuDevice(int threads, Isa isa);
  ~CpuDevice() override;

  Backend backend() const override { return Backend::kCpu; }
  double measure(Ceiling ceiling, bool small) override;
  DeviceInfo info() const override;

 protected:
  std::shared_ptr<Arena> make_arena(size_t bytes, MemoryKind kind) override;
  RunOutputs run_program(const Program& program, RunRequest& request, const std::function<bool()>& cancelled) override;
  void check(const Program& program) const override;
  bool reaches(const Arena& arena) const override { return arena.is_on_host(); }
  bool copies(const Arena&) const override { return false; }
  void release() override;

 private:
  void run_operations(const Program& program, const std::vector<Call>& calls, const std::function<bool()>& cancelled);

  const Isa isa_;
  ThreadPool pool_;
  HostArena scratch_;
};

}  // namespace limo
