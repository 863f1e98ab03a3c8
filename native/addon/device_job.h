#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "runtime/device.h"

namespace limo {

// Turns the result of a job into a JavaScript value, on the JavaScript thread; `kept` is what run_on_device was given.
using Settle = std::function<Napi::Value(Napi::Env, const Napi::Object& kept)>;

// Runs `work` on the device's thread and returns a promise for what the Settle it returns gives; an exception rejects it.
// The promise keeps the event loop alive, and the object `kept` as well. Throws kDeviceClosed at once when the device takes
// no jobs.
Napi::Promise run_on_device(Napi::Env env, CpuDevice& device, std::function<Settle()> work, Napi::Object kept = {});

// The same for CpuDevice::close.
Napi::Promise close_device(Napi::Env env, CpuDevice& device);

}  // namespace limo
