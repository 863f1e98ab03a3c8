#pragma once

#include <napi.h>

#include <exception>

#include "addon/convert.h"

// What every object of the addon does at its border.
namespace limo {

// Calls body and turns what it throws into an exception of JavaScript.
template <class Body>
auto guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    throw to_js_error(env, std::current_exception());
  }
}

// Arenas and programs are made by a device alone: JavaScript cannot make the External that their constructors ask for.
inline void expect_call_of_addon(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "Illegal constructor: arenas and programs are made by a device");
}

inline Napi::Value own_call(Napi::Env env) {
  static char nothing;
  return Napi::External<char>::New(env, &nothing);
}

}  // namespace limo
