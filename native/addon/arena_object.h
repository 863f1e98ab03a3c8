#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "addon/calls.h"
#include "runtime/device.h"

namespace limo {

// Tells a true arena from an object that only has its prototype.
constexpr napi_type_tag kArenaTag = {0x6c696d6f2d617265, 0x6e612d6f626a6563};

// A piece of a device's memory, as JavaScript has it.
class ArenaObject : public Napi::ObjectWrap<ArenaObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Arena", {InstanceMethod("write", &ArenaObject::Write), InstanceMethod("read", &ArenaObject::Read),
                                      InstanceMethod("load", &ArenaObject::Load)});
  }
  explicit ArenaObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ArenaObject>(info) {
    expect_call_of_addon(info);
    info.This().As<Napi::Object>().TypeTag(&kArenaTag);
  }
  ~ArenaObject() override = default;

  void adopt(Napi::Env env, std::shared_ptr<Device> device, std::shared_ptr<Arena> arena) {
    device_ = std::move(device);
    arena_ = std::move(arena);
    Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(arena_->bytes()));
  }
  void Finalize(Napi::Env env) override {
    if (arena_) Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(arena_->bytes()));
  }
  const std::shared_ptr<Arena>& arena() const { return arena_; }
  const std::shared_ptr<Device>& device() const { return device_; }

 private:
  Napi::Value Write(const Napi::CallbackInfo& info);
  // read(offset, target): fills the typed array `target`, so that a caller who reads much can use one buffer again.
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);

  std::shared_ptr<Device> device_;
  std::shared_ptr<Arena> arena_;
};

}  // namespace limo
