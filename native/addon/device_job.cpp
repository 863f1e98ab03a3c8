#include "addon/device_job.h"

#include <exception>

#include "addon/convert.h"

namespace limo {
namespace {

// While the environment closes every call throws: nothing may leave a callback.
void reject_quietly(Napi::Env env, Napi::Promise::Deferred& deferred, std::exception_ptr exception) {
  try {
    Napi::HandleScope scope(env);
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
  void keep(napi_env env, const Kept& kept) {
    napi_create_reference(env, kept.owner, 1, &owner_);
    if (!kept.target.IsEmpty()) napi_create_reference(env, kept.target, 1, &target_);
  }

  // On any thread, once.
  void settle(Settle settle, std::exception_ptr exception) {
    settle_ = std::move(settle);
    exception_ = exception;
    napi_call_threadsafe_function(function_, this, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(function_, napi_tsfn_release);
  }

  // On the JavaScript thread, when the job was never queued.
  void drop(napi_env env) {
    let_go(env);
    napi_release_threadsafe_function(function_, napi_tsfn_abort);
  }

 private:
  // References by hand: those of Napi throw while a worker is terminated, and delete themselves on whichever thread ends
  // their owner. What is not let go goes with the environment.
  void let_go(napi_env env) {
    for (napi_ref* reference : {&owner_, &target_}) {
      if (*reference) napi_delete_reference(env, *reference);
      *reference = nullptr;
    }
  }

  Napi::Object target(napi_env env) const {
    napi_value value = nullptr;
    if (target_) napi_get_reference_value(env, target_, &value);
    return value ? Napi::Object(env, value) : Napi::Object();
  }

  static void deliver(napi_env raw, napi_value, void*, void* data) {
    if (raw == nullptr) return;  // the environment is going away
    Pending& pending = *static_cast<Pending*>(data);
    Napi::Env env(raw);
    try {
      Napi::HandleScope scope(env);
      if (pending.exception_) {
        pending.deferred_.Reject(to_js_error(env, pending.exception_).Value());
      } else {
        pending.deferred_.Resolve(pending.settle_(env, pending.target(env)));
      }
    } catch (...) {
      reject_quietly(env, pending.deferred_, std::current_exception());
    }
    pending.let_go(env);
  }

  Napi::Promise::Deferred deferred_;
  napi_ref owner_ = nullptr, target_ = nullptr;
  napi_threadsafe_function function_ = nullptr;
  Settle settle_;
  std::exception_ptr exception_;
};

}  // namespace

Napi::Promise run_on_device(Napi::Env env, Device& device, const Kept& kept, std::function<Settle()> work) {
  const auto pending = Pending::create(env);
  pending->keep(env, kept);
  try {
    device.submit([pending, work = std::move(work)] {
      try {
        pending->settle(work(), nullptr);
      } catch (...) {
        pending->settle({}, std::current_exception());
      }
    });
  } catch (...) {
    pending->drop(env);
    throw;
  }
  return pending->promise();
}

Napi::Promise close_device(Napi::Env env, Device& device, const Kept& kept) {
  const auto pending = Pending::create(env);
  pending->keep(env, kept);
  try {
    device.close([pending, device = &device] {
      pending->settle(
          [device](Napi::Env settle_env, const Napi::Object&) {
            device->stop();  // its thread has nothing left to do; the device's owner is kept until after this
            return settle_env.Undefined();
          },
          nullptr);
    });
  } catch (...) {
    pending->drop(env);
    throw;
  }
  return pending->promise();
}

}  // namespace limo
