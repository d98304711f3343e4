#include "binding/arguments.h"

#include <cmath>

#include "base/error.h"

namespace qarepvgg::binding {

namespace {

struct Memory {
  void* data;
  std::size_t length;
};

const char* name_of(napi_typedarray_type type) {
  switch (type) {
    case napi_float32_array:
      return "Float32Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_int16_array:
      return "Int16Array";
    case napi_int8_array:
      return "Int8Array";
    case napi_uint8_array:
      return "Uint8Array";
    default:
      return "typed array of another type";
  }
}

const char* kind_of(const Napi::Value& value) {
  if (value.IsTypedArray()) return name_of(value.As<Napi::TypedArray>().TypedArrayType());
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      return "a number";
    case napi_string:
      return "a string";
    case napi_function:
      return "a function";
    default:
      return "another object";
  }
}

Memory memory_of(const Napi::Value& value, const char* what, napi_typedarray_type type) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    fail(code::kDtype, "expected ", what, " to be of type ", name_of(type), ", received ", kind_of(value));
  napi_value buffer = nullptr;
  Memory memory{};
  napi_get_typedarray_info(value.Env(), value, nullptr, &memory.length, &memory.data, &buffer, nullptr);
  bool detached = false;
  napi_is_detached_arraybuffer(value.Env(), buffer, &detached);
  if (detached) fail(code::kBufferDetached, "expected ", what, " to have its memory, it is detached");
  return memory;
}

}  // namespace

void* typed_array_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t length) {
  const Memory memory = memory_of(value, what, type);
  if (memory.length != length)
    fail(code::kBufferSize, "expected ", what, " to have ", length, " elements, received ", memory.length);
  return memory.data;
}

void* typed_array_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t* length) {
  const Memory memory = memory_of(value, what, type);
  *length = memory.length;
  return memory.data;
}

Floats floats_of(const Napi::Value& value, const char* what) {
  const Memory memory = memory_of(value, what, napi_float32_array);
  return {static_cast<float*>(memory.data), memory.length};
}

Floats floats_of(const Napi::Value& value, const char* what, std::size_t length) {
  return {typed_array_of<float>(value, what, napi_float32_array, length), length};
}

std::size_t to_size(const Napi::Value& value, const char* what) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= kMaxSafeInteger) || number != std::floor(number))
    fail(code::kInvalidArg, "expected ", what, " to be a whole number from 0");
  return static_cast<std::size_t>(number);
}

std::size_t size_of(const Napi::Object& object, const char* name) { return to_size(object.Get(name), name); }

std::size_t size_of(const Napi::Object& object, const char* name, std::size_t fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? fallback : to_size(value, name);
}

double number_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) fail(code::kInvalidArg, "expected ", name, " to be a number, received ", kind_of(value));
  return value.As<Napi::Number>().DoubleValue();
}

bool flag_of(const Napi::Object& object, const char* name) { return object.Get(name).ToBoolean(); }

std::string string_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) fail(code::kInvalidArg, "expected ", name, " to be a string, received ", kind_of(value));
  return value.As<Napi::String>();
}

Napi::Object object_of(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) fail(code::kInvalidArg, "expected ", what, " to be an object, received ", kind_of(value));
  return value.As<Napi::Object>();
}

Napi::Array array_of(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) fail(code::kInvalidArg, "expected ", what, " to be an array, received ", kind_of(value));
  return value.As<Napi::Array>();
}

}  // namespace qarepvgg::binding
