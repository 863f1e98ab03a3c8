#include "addon/device_job.h"

#include <exception>

#include "addon/convert.h"

namespace limo {
namespace {

// A promise that another thread settles. It lives until the thread-safe function's finalizer has run.
class Pending {
 public:
  static std::shared_ptr<Pending> create(Napi::Env env) {
    auto pending = std::make_shared<Pending>(env);
    auto* owner = new std::shared_ptr<Pending>(pending);
    napi_value name = Napi::String::New(env, "limo.device");
    const napi_status status = napi_create_threadsafe_function(
        env, nullptr, nullptr, name, 0, 1, owner,
        [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Pending>*>(data); }, nullptr, &Pending::deliver, &pending->function_);
    if (status != napi_ok) {
      delete owner;
      throw Napi::Error::New(env, "cannot create a thread-safe function");
    }
    return pending;
  }

  explicit Pending(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  // On any thread, once.
  void settle(Settle settle, std::exception_ptr exception) {
    settle_ = std::move(settle);
    exception_ = exception;
    napi_call_threadsafe_function(function_, this, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(function_, napi_tsfn_release);
  }

  // On the JavaScript thread, when the job was never queued.
  void drop() { napi_release_threadsafe_function(function_, napi_tsfn_abort); }

 private:
  static void deliver(napi_env raw, napi_value, void*, void* data) {
    if (raw == nullptr) return;  // the environment is going away
    Napi::Env env(raw);
    Pending& pending = *static_cast<Pending*>(data);
    Napi::HandleScope scope(env);
    try {  // while the environment closes every call throws: nothing may leave this function
      if (pending.exception_) {
        pending.deferred_.Reject(to_js_error(env, pending.exception_).Value());
        return;
      }
      try {
        pending.deferred_.Resolve(pending.settle_(env));
      } catch (...) {
        pending.deferred_.Reject(to_js_error(env, std::current_exception()).Value());
      }
    } catch (...) {
    }
  }

  Napi::Promise::Deferred deferred_;
  napi_threadsafe_function function_ = nullptr;
  Settle settle_;
  std::exception_ptr exception_;
};

}  // namespace

Napi::Promise run_on_device(Napi::Env env, CpuDevice& device, std::function<Settle()> work) {
  const auto pending = Pending::create(env);
  try {
    device.submit([pending, work = std::move(work)] {
      try {
        pending->settle(work(), nullptr);
      } catch (...) {
        pending->settle({}, std::current_exception());
      }
    });
  } catch (...) {
    pending->drop();
    throw;
  }
  return pending->promise();
}

Napi::Promise close_device(Napi::Env env, CpuDevice& device) {
  const auto pending = Pending::create(env);
  try {
    device.close([pending] { pending->settle([](Napi::Env settle_env) { return settle_env.Undefined(); }, nullptr); });
  } catch (...) {
    pending->drop();
    throw;
  }
  return pending->promise();
}

}  // namespace limo
