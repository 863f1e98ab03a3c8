#pragma once

#include <napi.h>

#include <string>
#include <string_view>

#include "core/error.h"
#include "runtime/program.h"

// JavaScript values into the runtime's structs; throws limo::Error with what was expected.
namespace limo {

ProgramDescription read_program_description(const Napi::Value& value);
RunRequest read_run_request(const Napi::Value& value);
Napi::Object read_object(const Napi::Value& value, const std::string& place, ErrorCode code);
DType read_dtype(const Napi::Value& value, const std::string& place, ErrorCode code);
// device, the default, or pinned-host.
MemoryKind read_memory_kind(const Napi::Value& value);
// The bytes of a typed array, also of one on shared memory.
std::string_view bytes_of(const Napi::TypedArray& array);
// A whole number in [0, 2^53).
uint64_t read_size(const Napi::Value& value, const char* place);

// An Error of JavaScript with the code of a limo::Error; anything else becomes PROGRAM_INVALID with its text.
Napi::Error to_js_error(Napi::Env env, std::exception_ptr exception);

}  // namespace limo
