#include "addon/convert.h"

#include <cmath>
#include <new>

#include "core/error.h"

namespace limo {
namespace {

[[noreturn]] void invalid(const std::string& message) { throw Error(ErrorCode::kProgramInvalid, message); }

Napi::Object read_object(const Napi::Value& value, const std::string& place) {
  return limo::read_object(value, place, ErrorCode::kProgramInvalid);
}

Napi::Array read_array(const Napi::Value& value, const std::string& place) {
  if (!value.IsArray()) invalid("expected an array for " + place);
  return value.As<Napi::Array>();
}

std::string read_string(const Napi::Value& value, const std::string& place, ErrorCode code = ErrorCode::kProgramInvalid) {
  if (!value.IsString()) throw Error(code, "expected a string for " + place);
  return value.As<Napi::String>().Utf8Value();
}

int64_t read_integer(const Napi::Value& value, const std::string& place) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(std::fabs(number) <= 9007199254740991.0) || number != std::floor(number)) invalid("expected a whole number for " + place);
  return static_cast<int64_t>(number);
}

TensorDescription read_tensor(const Napi::Value& value, const std::string& place) {
  const Napi::Object object = read_object(value, place);
  TensorDescription tensor;
  const int64_t arena = read_integer(object.Get("arena"), place + ".arena");
  const int64_t offset = read_integer(object.Get("offset"), place + ".offset");
  if (arena < 0 || offset < 0) invalid("expected an arena and an offset of at least 0 for " + place);
  tensor.arena = static_cast<size_t>(arena);
  tensor.offset = static_cast<uint64_t>(offset);
  tensor.dtype = read_dtype(object.Get("dtype"), place, ErrorCode::kProgramInvalid);
  const Napi::Array shape = read_array(object.Get("shape"), place + ".shape");
  for (uint32_t i = 0; i < shape.Length(); ++i) tensor.shape.push_back(read_integer(shape.Get(i), place + ".shape"));
  const Napi::Value stride = object.Get("rowStride");
  if (!stride.IsUndefined()) tensor.row_stride = read_integer(stride, place + ".rowStride");
  return tensor;
}

std::vector<OperandDescription> read_operands(const Napi::Value& value, const std::string& place) {
  const Napi::Object object = read_object(value, place);
  const Napi::Array names = object.GetPropertyNames();
  std::vector<OperandDescription> operands;
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    operands.push_back({name, read_tensor(object.Get(name), place + "." + name)});
  }
  return operands;
}

std::vector<AttributeDescription> read_attributes(const Napi::Value& value, const std::string& place) {
  std::vector<AttributeDescription> attributes;
  if (value.IsUndefined()) return attributes;
  const Napi::Object object = read_object(value, place);
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    AttributeDescription attribute;
    attribute.name = names.Get(i).ToString().Utf8Value();
    const Napi::Value given = object.Get(attribute.name);
    if (given.IsNumber()) attribute.value = given.As<Napi::Number>().DoubleValue();
    else attribute.scalar = read_string(read_object(given, place + "." + attribute.name).Get("scalar"), place + "." + attribute.name);
    if (!given.IsNumber() && attribute.scalar.empty()) invalid("expected a number or the name of a scalar for " + place + "." + attribute.name);
    attributes.push_back(attribute);
  }
  return attributes;
}

Queue read_queue(const Napi::Value& value, const std::string& place) {
  if (value.IsUndefined()) return Queue::kCompute;
  const std::string name = read_string(value, place);
  if (name == "compute") return Queue::kCompute;
  if (name == "copy") return Queue::kCopy;
  if (name == "communication") return Queue::kCommunication;
  invalid("expected compute, copy or communication for " + place + " but received \"" + name + "\"");
}

std::vector<size_t> read_after(const Napi::Value& value, const std::string& place) {
  std::vector<size_t> after;
  if (value.IsUndefined()) return after;
  const Napi::Array numbers = read_array(value, place);
  for (uint32_t i = 0; i < numbers.Length(); ++i) {
    const int64_t number = read_integer(numbers.Get(i), place);
    if (number < 0) invalid("expected numbers of operations of at least 0 for " + place);
    after.push_back(static_cast<size_t>(number));
  }
  return after;
}

}  // namespace

Napi::Object read_object(const Napi::Value& value, const std::string& place, ErrorCode code) {
  if (!value.IsObject()) throw Error(code, "expected an object for " + place);
  return value.As<Napi::Object>();
}

std::string_view bytes_of(const Napi::TypedArray& array) {
  // Napi::ArrayBuffer takes no SharedArrayBuffer.
  napi_typedarray_type type;
  size_t length;
  void* data = nullptr;
  if (napi_get_typedarray_info(array.Env(), array, &type, &length, &data, nullptr, nullptr) != napi_ok)
    throw Error(ErrorCode::kInputInvalid, "cannot read a typed array");
  return {static_cast<const char*>(data), array.ByteLength()};
}

uint64_t read_size(const Napi::Value& value, const char* place) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= 0 && number <= 9007199254740991.0) || number != std::floor(number))
    throw Error(ErrorCode::kInputInvalid, std::string("expected a whole number of at least 0 for ") + place);
  return static_cast<uint64_t>(number);
}

DType read_dtype(const Napi::Value& value, const std::string& place, ErrorCode code) {
  const std::string name = read_string(value, place + ".dtype", code);
  if (name == "f32") return DType::kF32;
  if (name == "i32") return DType::kI32;
  if (name == "bf16") return DType::kBF16;
  if (name == "f16") return DType::kF16;
  throw Error(code, "expected dtype f32, i32, bf16 or f16 for " + place + " but received \"" + name + "\"");
}

MemoryKind read_memory_kind(const Napi::Value& value) {
  if (value.IsUndefined()) return MemoryKind::kDevice;
  const std::string name = read_string(value, "memory", ErrorCode::kInputInvalid);
  if (name == "device") return MemoryKind::kDevice;
  if (name == "pinned-host") return MemoryKind::kPinnedHost;
  throw Error(ErrorCode::kInputInvalid, "expected device or pinned-host for memory but received \"" + name + "\"");
}

ProgramDescription read_program_description(const Napi::Value& value) {
  const Napi::Object object = read_object(value, "program");
  ProgramDescription description;
  description.max_tokens = read_integer(object.Get("maxTokens"), "program.maxTokens");
  description.max_sequences = read_integer(object.Get("maxSequences"), "program.maxSequences");
  const Napi::Array ops = read_array(object.Get("ops"), "program.ops");
  for (uint32_t i = 0; i < ops.Length(); ++i) {
    const std::string place = "program.ops[" + std::to_string(i) + "]";
    const Napi::Object op = read_object(ops.Get(i), place);
    description.ops.push_back({read_string(op.Get("op"), place + ".op"), read_operands(op.Get("operands"), place + ".operands"),
                               read_attributes(op.Get("attributes"), place + ".attributes"), read_queue(op.Get("queue"), place + ".queue"),
                               read_after(op.Get("after"), place + ".after")});
  }
  description.inputs = read_operands(object.Get("inputs"), "program.inputs");
  description.outputs = read_operands(object.Get("outputs"), "program.outputs");
  return description;
}

RunRequest read_run_request(const Napi::Value& value) {
  RunRequest request;
  const Napi::Object object = read_object(value, "run", ErrorCode::kInputInvalid);
  const Napi::Object inputs = read_object(object.Get("inputs"), "run.inputs", ErrorCode::kInputInvalid);
  const Napi::Array names = inputs.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Napi::Value given = inputs.Get(name);
    const napi_typedarray_type type = given.IsTypedArray() ? given.As<Napi::TypedArray>().TypedArrayType() : napi_uint8_array;
    if (type != napi_int32_array && type != napi_float32_array)
      throw Error(ErrorCode::kInputInvalid, "expected an Int32Array or a Float32Array for input \"" + name + "\"");
    const std::string_view bytes = bytes_of(given.As<Napi::TypedArray>());
    request.inputs[name] = {type == napi_int32_array ? DType::kI32 : DType::kF32, std::vector<char>(bytes.begin(), bytes.end())};
  }
  const Napi::Object scalars = read_object(object.Get("scalars"), "run.scalars", ErrorCode::kInputInvalid);
  const Napi::Array scalar_names = scalars.GetPropertyNames();
  for (uint32_t i = 0; i < scalar_names.Length(); ++i) {
    const std::string name = scalar_names.Get(i).ToString().Utf8Value();
    const Napi::Value given = scalars.Get(name);
    if (!given.IsNumber()) throw Error(ErrorCode::kInputInvalid, "expected a number for scalar \"" + name + "\"");
    request.scalars[name] = given.As<Napi::Number>().DoubleValue();
  }
  return request;
}

Napi::Error to_js_error(Napi::Env env, std::exception_ptr exception) {
  const auto make = [&](const char* message, const char* code) {
    Napi::Error error = Napi::Error::New(env, message);
    error.Value().Set("code", code);
    return error;
  };
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return make(error.what(), error_code_name(error.code()));
  } catch (const Napi::Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return make("the process is out of memory", "OUT_OF_MEMORY");
  } catch (const std::exception& error) {
    return make(error.what(), "PROGRAM_INVALID");
  }
}

}  // namespace limo
