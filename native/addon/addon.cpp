#include <napi.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstring>
#include <thread>

#include "addon/arena_object.h"
#include "addon/calls.h"
#include "addon/convert.h"
#include "addon/device_job.h"
#include "core/error.h"
#include "runtime/backends.h"
#include "runtime/cuda_library.h"
#include "runtime/isa.h"
#include "runtime/program.h"

// The surface that lib/native/addon-types.ts describes. Objects of the runtime are owned by JavaScript objects; jobs hold
// what they need by shared pointers, and only JavaScript objects own a device, so it ends on the JavaScript thread.
namespace limo {
namespace {

class ProgramObject : public Napi::ObjectWrap<ProgramObject> {
 public:
  static Napi::Function Define(Napi::Env env) { return DefineClass(env, "Program", {InstanceMethod("run", &ProgramObject::Run)}); }
  explicit ProgramObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ProgramObject>(info) { expect_call_of_addon(info); }

  // `owners`: the devices of the program's arenas, which must outlive them.
  void adopt(std::shared_ptr<Device> device, std::shared_ptr<Program> program, std::vector<std::shared_ptr<Device>> owners) {
    device_ = std::move(device);
    program_ = std::move(program);
    owners_ = std::move(owners);
  }

 private:
  // run({inputs, scalars}) → {promise, cancel}
  Napi::Value Run(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      auto request = std::make_shared<RunRequest>(read_run_request(info[0]));
      auto cancelled = std::make_shared<std::atomic<bool>>(false);
      Device* device = device_.get();
      auto promise = run_on_device(info.Env(), *device, {info.This().As<Napi::Object>(), {}}, [device, program = program_, request, cancelled]() -> Settle {
        auto outputs = std::make_shared<RunOutputs>(device->run(*program, *request, [&] { return cancelled->load() || device->stopping(); }));
        return [outputs](Napi::Env env, const Napi::Object&) -> Napi::Value {
          auto result = Napi::Object::New(env);
          for (const auto& [name, values] : *outputs) {
            auto array = Napi::Float32Array::New(env, values.size());
            if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * 4);
            result.Set(name, array);
          }
          return result;
        };
      });
      auto result = Napi::Object::New(info.Env());
      result.Set("promise", promise);
      result.Set("cancel", Napi::Function::New(info.Env(), [cancelled](const Napi::CallbackInfo&) { *cancelled = true; }));
      return result;
    });
  }

  std::vector<std::shared_ptr<Device>> owners_;
  std::shared_ptr<Device> device_;
  std::shared_ptr<Program> program_;
};

// The classes of one environment (the main thread or a worker).
struct Classes {
  Napi::FunctionReference device, arena, program;
  std::vector<std::weak_ptr<Device>>* devices;  // that were opened; the hook at the end of the environment owns the list
};

// The end of the environment (process exit, worker.terminate) must not wait for a long program: all devices are told before any is waited
// for, as one may wait for an arena that another's program uses.
void stop_devices(void* data) {
  const std::unique_ptr<std::vector<std::weak_ptr<Device>>> devices(static_cast<std::vector<std::weak_ptr<Device>>*>(data));
  for (const auto& known : *devices)
    if (const auto device = known.lock()) device->ask_to_stop();
  for (const auto& known : *devices)
    if (const auto device = known.lock()) device->stop();
}

class DeviceObject : public Napi::ObjectWrap<DeviceObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Device", {InstanceMethod("allocate", &DeviceObject::Allocate), InstanceMethod("compile", &DeviceObject::Compile),
                                       InstanceMethod("close", &DeviceObject::Close),
                                       InstanceMethod("measureMultiplyAddRate", &DeviceObject::Measure<Ceiling::kMultiplyAdd>),
                                       InstanceMethod("measureBf16MultiplyAddRate", &DeviceObject::Measure<Ceiling::kBf16MultiplyAdd>),
                                       InstanceMethod("measureUpdateRate", &DeviceObject::Measure<Ceiling::kUpdate>),
                                       InstanceMethod("measureReadRate", &DeviceObject::Measure<Ceiling::kRead>), InstanceAccessor<&DeviceObject::Info>("info")});
  }

  // new Device({kind: 'cpu', threads, isa}) or new Device({kind: 'cuda' | 'cuda-emulated', ordinal})
  explicit DeviceObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DeviceObject>(info) {
    guarded(info.Env(), [&] { device_ = open(read_object(info[0], "a device's options", ErrorCode::kInputInvalid)); });
    info.Env().GetInstanceData<Classes>()->devices->push_back(device_);
  }

 private:
  static std::shared_ptr<Device> open(const Napi::Object& options) {
    const Napi::Value given = options.Get("kind");
    const std::string name = given.IsString() ? given.As<Napi::String>().Utf8Value() : "";
    DeviceOptions read;
    if (!options.Get("threads").IsUndefined()) read.threads = read_size(options.Get("threads"), "threads");
    if (!options.Get("ordinal").IsUndefined()) read.ordinal = read_size(options.Get("ordinal"), "ordinal");
    if (options.Get("isa").IsString()) read.isa = options.Get("isa").As<Napi::String>().Utf8Value();
    std::string names;
    for (const DeviceKind& kind : device_kinds()) {
      if (name == kind.name) return kind.open(read);
      names += (names.empty() ? "" : ", ") + std::string(kind.name);
    }
    throw Error(ErrorCode::kInputInvalid, "expected one of " + names + " for kind but received \"" + name + "\"");
  }

  Napi::Value Info(const Napi::CallbackInfo& info) {
    const DeviceInfo known = device_->info();
    auto result = Napi::Object::New(info.Env());
    result.Set("threads", known.threads);
    result.Set("isa", known.instruction_set);
    result.Set("description", known.description);
    result.Set("scratchBytes", static_cast<double>(known.scratch_bytes));
    result.Set("refusedProducts", static_cast<double>(known.refused_products));
    if (known.memory_bytes > 0) result.Set("memoryBytes", static_cast<double>(known.memory_bytes));
    result.Set("closed", device_->closed());
    return result;
  }

  Napi::Value Allocate(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const MemoryKind kind = read_memory_kind(info[1]);
      auto arena = device_->allocate(static_cast<size_t>(read_size(info[0], "bytes")), kind);
      auto object = info.Env().GetInstanceData<Classes>()->arena.New({own_call(info.Env())});
      ArenaObject::Unwrap(object)->adopt(info.Env(), device_, std::move(arena));
      return object;
    });
  }

  Napi::Value Compile(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      if (device_->closed()) throw Error(ErrorCode::kDeviceClosed, "the device is closed");
      auto* classes = info.Env().GetInstanceData<Classes>();
      if (!info[1].IsArray()) throw Error(ErrorCode::kProgramInvalid, "expected an array of arenas");
      const auto objects = info[1].As<Napi::Array>();
      std::vector<std::shared_ptr<Arena>> arenas;
      std::vector<std::shared_ptr<Device>> owners;
      for (uint32_t i = 0; i < objects.Length(); ++i) {
        const Napi::Value value = objects.Get(i);
        if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kArenaTag))
          throw Error(ErrorCode::kProgramInvalid, "expected an arena at index " + std::to_string(i));
        const ArenaObject* arena = ArenaObject::Unwrap(value.As<Napi::Object>());
        arenas.push_back(arena->arena());
        if (std::find(owners.begin(), owners.end(), arena->device()) == owners.end()) owners.push_back(arena->device());
      }
      auto program = std::make_shared<Program>(read_program_description(info[0]), std::move(arenas), device_->backend());
      device_->check_program(*program);
      auto object = classes->program.New({own_call(info.Env())});
      ProgramObject::Unwrap(object)->adopt(device_, std::move(program), std::move(owners));
      return object;
    });
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return close_device(info.Env(), *device_, {info.This().As<Napi::Object>(), {}}); });
  }

  template <Ceiling ceiling>
  Napi::Value Measure(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Device* device = device_.get();
      const bool small = info[0].ToBoolean();
      return run_on_device(info.Env(), *device, {info.This().As<Napi::Object>(), {}}, [device, small]() -> Settle {
        const double rate = device->measure(ceiling, small);
        return [rate](Napi::Env env, const Napi::Object&) { return Napi::Number::New(env, rate); };
      });
    });
  }

  std::shared_ptr<Device> device_;
};

Napi::Value DescribeCpu(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  auto supported = Napi::Array::New(info.Env());
  auto built = Napi::Array::New(info.Env());
  auto known = Napi::Array::New(info.Env());
  auto not_built = Napi::Array::New(info.Env());
  for (Isa isa : kAllIsas) {
    known.Set(known.Length(), isa_name(isa));
    if (isa_built(isa)) built.Set(built.Length(), isa_name(isa));
    if (!isa_supported(isa)) continue;
    auto& list = isa_built(isa) ? supported : not_built;
    list.Set(list.Length(), isa_name(isa));
  }
  result.Set("instructionSets", supported);
  result.Set("notBuilt", not_built);
  result.Set("built", built);
  result.Set("known", known);
  result.Set("best", isa_name(best_isa()));
  result.Set("scratchBytesPerThread", static_cast<double>(kScratchBytesPerThread));
  return result;
}

const char* access_name(Access access) {
  switch (access) {
    case Access::kRead: return "read";
    case Access::kWrite: return "write";
    case Access::kAccumulate: return "accumulate";
    case Access::kReadWrite: return "update";
  }
  return "";
}

// The contract of every operation, as its header states it: lib/graph/ops/contracts.ts is made of this.
Napi::Value DescribeOps(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto ops = Napi::Array::New(env);
  for (const OpEntry& entry : all_ops()) {
    auto operands = Napi::Array::New(env);
    auto working_memory = Napi::Array::New(env);
    for (const OperandInfo& each : entry.operands) {
      auto operand = Napi::Object::New(env);
      operand.Set("name", each.name);
      operand.Set("access", access_name(each.access));
      operand.Set("shape", each.shape);
      if (each.element != ElementType::kCompute)
        operand.Set("dtype", each.element == ElementType::kF32 ? "f32" : each.element == ElementType::kBF16 ? "bf16" : "i32");
      if (each.element == ElementType::kDeviceI32) operand.Set("onDevice", true);
      if (each.working) {
        operand.Set("backend", backend_name(each.working->backend));
        if (each.working->only_bf16) operand.Set("only", "bf16");
        working_memory.Set(working_memory.Length(), operand);
        continue;
      }
      if (each.optional) operand.Set("optional", true);
      operands.Set(operands.Length(), operand);
    }
    auto attributes = Napi::Array::New(env);
    for (const char* name : entry.attributes) attributes.Set(attributes.Length(), name);
    auto op = Napi::Object::New(env);
    op.Set("name", entry.name);
    op.Set("operands", operands);
    op.Set("attributes", attributes);
    op.Set("workingMemory", working_memory);
    ops.Set(ops.Length(), op);
  }
  return ops;
}

// describeCuda(withProducts): looking for what multiplies matrices opens libraries, so it is done where it is asked for.
Napi::Value DescribeCuda(const Napi::CallbackInfo& info) {
  const CudaStatus status = probe_cuda(info[0].ToBoolean());
  auto result = Napi::Object::New(info.Env());
  result.Set("library", status.library);
  result.Set("products", status.products);
  result.Set("driver", status.driver);
  auto memory = Napi::Array::New(info.Env());
  for (uint64_t bytes : status.memory_bytes) memory.Set(memory.Length(), static_cast<double>(bytes));
  result.Set("memoryBytes", memory);
  result.Set("reason", status.reason);
  return result;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes;
  classes->device = Napi::Persistent(DeviceObject::Define(env));
  classes->arena = Napi::Persistent(ArenaObject::Define(env));
  classes->program = Napi::Persistent(ProgramObject::Define(env));
  classes->devices = new std::vector<std::weak_ptr<Device>>;
  env.SetInstanceData(classes);
  napi_add_env_cleanup_hook(env, stop_devices, classes->devices);
  exports.Set("Device", classes->device.Value());
  exports.Set("describeCpu", Napi::Function::New(env, DescribeCpu));
  exports.Set("describeOps", Napi::Function::New(env, DescribeOps));
  exports.Set("describeCuda", Napi::Function::New(env, DescribeCuda));
  return exports;
}

}  // namespace
}  // namespace limo

static Napi::Object InitLimo(Napi::Env env, Napi::Object exports) { return limo::Init(env, exports); }
NODE_API_MODULE(limo_native, InitLimo)
