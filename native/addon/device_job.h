#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "runtime/device.h"

namespace limo {

// The JavaScript objects that a job needs to its end: the one that owns the device, and what the result goes into.
struct Kept {
  Napi::Object owner;
  Napi::Object target;
};

// Turns the result of a job into a JavaScript value, on the JavaScript thread; `target` is the one that was kept.
using Settle = std::function<Napi::Value(Napi::Env, const Napi::Object& target)>;

// Runs `work` on the device's thread and returns a promise for what the Settle it returns gives; an exception rejects it.
// The promise keeps the event loop alive, and the objects of `kept`: a device that nobody else holds must not be collected
// while it works. Throws kDeviceClosed at once when the device takes no jobs.
Napi::Promise run_on_device(Napi::Env env, Device& device, const Kept& kept, std::function<Settle()> work);

// The same for Device::close.
Napi::Promise close_device(Napi::Env env, Device& device, const Kept& kept);

}  // namespace limo
