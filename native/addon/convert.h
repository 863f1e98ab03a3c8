#pragma once

#include <napi.h>

#include "runtime/program.h"

// JavaScript values into the runtime's structs; throws limo::Error with what was expected.
namespace limo {

ProgramDescription read_program_description(const Napi::Value& value);
RunRequest read_run_request(const Napi::Value& value);
DType read_dtype(const Napi::Value& value, const char* place);
// A whole number in [0, 2^53).
uint64_t read_size(const Napi::Value& value, const char* place);

// An Error of JavaScript with the code of a limo::Error; anything else becomes PROGRAM_INVALID with its text.
Napi::Error to_js_error(Napi::Env env, std::exception_ptr exception);

}  // namespace limo
