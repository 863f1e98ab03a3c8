#include "addon/device_job.h"

#include <exception>

#include "addon/convert.h"

namespace limo {
namespace {

// While the environment closes every call throws: nothing may leave a callback.
void reject_quietly(Napi::Env env, Napi::Promise::Deferred& deferred, std::exception_ptr exception) {
  try {
    deferred.Reject(to_js_error(env, exception).Value());
  } catch (...) {
  }
}

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

  // On the JavaScript thread, before the job is queued.
  void keep(const Kept& kept) {
    owner_ = Napi::Persistent(kept.owner);
    if (!kept.target.IsEmpty()) target_ = Napi::Persistent(kept.target);
  }

  // On any thread, once.
  void settle(Settle settle, std::exception_ptr exception) {
    settle_ = std::move(settle);
    exception_ = exception;
    napi_call_threadsafe_function(function_, this, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(function_, napi_tsfn_release);
  }

  // On the JavaScript thread, when the job was never queued.
  void drop() {
    let_go();
    napi_release_threadsafe_function(function_, napi_tsfn_abort);
  }

 private:
  void let_go() {
    owner_.Reset();
    target_.Reset();
  }

  static void deliver(napi_env raw, napi_value, void*, void* data) {
    Pending& pending = *static_cast<Pending*>(data);
    if (raw == nullptr) {  // the environment is going away, and its references with it
      pending.owner_.SuppressDestruct();
      pending.target_.SuppressDestruct();
      return;
    }
    Napi::Env env(raw);
    Napi::HandleScope scope(env);
    try {
      if (pending.exception_) {
        pending.deferred_.Reject(to_js_error(env, pending.exception_).Value());
      } else {
        pending.deferred_.Resolve(pending.settle_(env, pending.target_.IsEmpty() ? Napi::Object() : pending.target_.Value()));
      }
    } catch (...) {
      reject_quietly(env, pending.deferred_, std::current_exception());
    }
    // Here and not in the destructor, which the device's thread may run.
    pending.let_go();
  }

  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference owner_, target_;
  napi_threadsafe_function function_ = nullptr;
  Settle settle_;
  std::exception_ptr exception_;
};

}  // namespace

Napi::Promise run_on_device(Napi::Env env, CpuDevice& device, const Kept& kept, std::function<Settle()> work) {
  const auto pending = Pending::create(env);
  pending->keep(kept);
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

Napi::Promise close_device(Napi::Env env, CpuDevice& device, const Kept& kept) {
  const auto pending = Pending::create(env);
  pending->keep(kept);
  try {
    device.close([pending, device = &device] {
      pending->settle(
          [device](Napi::Env settle_env, const Napi::Object&) {
            device->stop();  // its thread has nothing left to do; a device lives as long as its environment
            return settle_env.Undefined();
          },
          nullptr);
    });
  } catch (...) {
    pending->drop();
    throw;
  }
  return pending->promise();
}

}  // namespace limo
