#pragma once

#include <exception>
#include <string>
#include <utility>

namespace limo {

// The codes that native code throws; each has the same spelling in lib/errors.ts.
enum class ErrorCode {
  kProgramInvalid,
  kInputInvalid,
  kOutOfMemory,
  kDeviceClosed,
  kDeviceUnavailable,
  kDeviceFailed,
  kIoFailed,
  kAborted,
};

inline const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kProgramInvalid: return "PROGRAM_INVALID";
    case ErrorCode::kInputInvalid: return "INPUT_INVALID";
    case ErrorCode::kOutOfMemory: return "OUT_OF_MEMORY";
    case ErrorCode::kDeviceClosed: return "DEVICE_CLOSED";
    case ErrorCode::kDeviceUnavailable: return "DEVICE_UNAVAILABLE";
    case ErrorCode::kDeviceFailed: return "DEVICE_FAILED";
    case ErrorCode::kIoFailed: return "IO_FAILED";
    case ErrorCode::kAborted: return "ABORTED";
  }
  return "PROGRAM_INVALID";
}

// The only exception that native code throws on purpose; the addon turns it into a rejected promise.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  ErrorCode code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

}  // namespace limo
