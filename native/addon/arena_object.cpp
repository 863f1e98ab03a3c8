#include "addon/arena_object.h"

#include <climits>
#include <cstring>
#include <vector>

#include "addon/device_job.h"
#include "core/error.h"

namespace limo {

Napi::Value ArenaObject::Write(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const uint64_t offset = read_size(info[0], "offset");
    if (!info[1].IsTypedArray()) throw Error(ErrorCode::kInputInvalid, "expected a typed array of bytes to write");
    const std::string_view given = bytes_of(info[1].As<Napi::TypedArray>());
    arena_->check_range(offset, given.size());
    // A copy: the caller's buffer may be changed or detached before the device comes to it.
    std::vector<char> bytes(given.begin(), given.end());
    return run_on_device(info.Env(), *device_, {info.This().As<Napi::Object>(), {}}, [arena = arena_, offset, bytes = std::move(bytes)]() -> Settle {
      const auto lock = arena->lock_to_write();
      arena->write(offset, bytes.data(), bytes.size());
      return [](Napi::Env env, const Napi::Object&) { return env.Undefined(); };
    });
  });
}

Napi::Value ArenaObject::Read(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const uint64_t offset = read_size(info[0], "offset");
    if (!info[1].IsTypedArray()) throw Error(ErrorCode::kInputInvalid, "expected a typed array of bytes to read into");
    const uint64_t length = info[1].As<Napi::TypedArray>().ByteLength();
    arena_->check_range(offset, length);
    auto work = [arena = arena_, offset, length]() -> Settle {
      auto bytes = std::make_shared<std::vector<char>>(length);
      const auto lock = arena->lock_to_read();
      arena->read(offset, bytes->data(), length);
      return [bytes](Napi::Env env, const Napi::Object& object) -> Napi::Value {
        const auto target = object.As<Napi::TypedArray>();
        if (target.ByteLength() != bytes->size()) throw Error(ErrorCode::kInputInvalid, "the array that is read into was detached meanwhile");
        if (!bytes->empty()) std::memcpy(static_cast<char*>(target.ArrayBuffer().Data()) + target.ByteOffset(), bytes->data(), bytes->size());
        return env.Undefined();
      };
    };
    return run_on_device(info.Env(), *device_, {info.This().As<Napi::Object>(), info[1].As<Napi::Object>()}, std::move(work));
  });
}

Napi::Value ArenaObject::Load(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const uint64_t offset = read_size(info[0], "offset");
    const auto options = read_object(info[1], "load", ErrorCode::kInputInvalid);
    FileRange range{};
    const uint64_t descriptor = read_size(options.Get("fileDescriptor"), "fileDescriptor");
    if (descriptor > INT_MAX) throw Error(ErrorCode::kInputInvalid, "expected a file descriptor but received " + std::to_string(descriptor));
    range.descriptor = static_cast<int>(descriptor);
    range.offset = read_size(options.Get("fileOffset"), "fileOffset");
    range.elements = read_size(options.Get("elements"), "elements");
    range.dtype = read_dtype(options.Get("dtype"), "load", ErrorCode::kInputInvalid);
    if (range.dtype == DType::kI32) throw Error(ErrorCode::kInputInvalid, "expected dtype f32, bf16 or f16 to load but received i32");
    range.to = read_dtype(options.Get("to"), "load", ErrorCode::kInputInvalid);
    if (range.to != DType::kF32 && range.to != DType::kBF16) throw Error(ErrorCode::kInputInvalid, "expected f32 or bf16 for what is loaded to");
    const uint64_t bytes = static_cast<uint64_t>(dtype_bytes(range.to));
    if (offset % bytes != 0) throw Error(ErrorCode::kInputInvalid, "expected an offset that is a multiple of " + std::to_string(bytes));
    if (range.elements > arena_->bytes() / bytes) throw Error(ErrorCode::kInputInvalid, "expected no more numbers than fit in the arena");
    arena_->check_range(offset, range.elements * bytes);
    return run_on_device(info.Env(), *device_, {info.This().As<Napi::Object>(), {}}, [arena = arena_, offset, range]() -> Settle {
      const auto lock = arena->lock_to_write();
      arena->load(offset, range);
      return [](Napi::Env env, const Napi::Object&) { return env.Undefined(); };
    });
  });
}

}  // namespace limo
