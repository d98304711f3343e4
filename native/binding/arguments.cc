#include "binding/arguments.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "binding/guard.h"

namespace qarepvgg::binding {

namespace {

thread_local int borrows = 0;

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
    case napi_float64_array:
      return "Float64Array";
    case napi_bigint64_array:
      return "BigInt64Array";
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

}  // namespace

Borrow::Borrow() noexcept { ++borrows; }
Borrow::~Borrow() { --borrows; }

void* Borrow::memory_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t* length) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    fail(code::kDtype, "expected ", what, " to be of type ", name_of(type), ", received ", kind_of(value));
  napi_value buffer = nullptr;
  void* data = nullptr;
  napi_get_typedarray_info(value.Env(), value, nullptr, length, &data, &buffer, nullptr);
  bool detached = false;
  napi_is_detached_arraybuffer(value.Env(), buffer, &detached);
  if (detached) fail(code::kBufferDetached, "expected ", what, " to have its memory, it is detached");
  return data;
}

Span<std::byte> Borrow::bytes(const Napi::Value& value, const char* what, napi_typedarray_type type,
                              std::size_t length) const {
  std::size_t size = 0;
  void* const data = memory_of(value, what, type, &size);
  check_length(size, length, what);
  return {static_cast<std::byte*>(data), length * value.As<Napi::TypedArray>().ElementSize()};
}

Span<std::byte> Borrow::buffer(const Napi::Value& value) const {
  void* data = nullptr;
  std::size_t bytes = 0;
  if (!value.IsArrayBuffer() || napi_get_arraybuffer_info(value.Env(), value, &data, &bytes) != napi_ok) return {};
  return {static_cast<std::byte*>(data), bytes};
}

void Borrow::check_length(std::size_t received, std::size_t expected, const char* what) {
  if (received != expected)
    fail(code::kBufferSize, "expected ", what, " to have ", expected, " elements, received ", received);
}

TakenMemory take_memory(Napi::Env env, const std::vector<Napi::Value>& arrays,
                        const std::function<void(const Borrow&, std::size_t)>& check) {
  struct Place {
    std::uint32_t buffer;
    std::size_t offset, bytes;
  };
  std::vector<Place> places;
  std::vector<napi_value> given;  // each buffer once
  {
    const Borrow borrow;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      check(borrow, i);
      const Napi::TypedArray array = arrays[i].As<Napi::TypedArray>();
      napi_value buffer = nullptr;
      std::size_t offset = 0;
      napi_get_typedarray_info(env, array, nullptr, nullptr, nullptr, &buffer, &offset);
      const auto found = std::find_if(given.begin(), given.end(), [&](napi_value other) {
        bool is_same = false;
        return napi_strict_equals(env, buffer, other, &is_same) == napi_ok && is_same;
      });
      places.push_back({static_cast<std::uint32_t>(found - given.begin()), offset, array.ByteLength()});
      if (found == given.end()) given.push_back(buffer);
    }
  }
  const auto refuse = [] {
    fail(code::kInvalidArg, "expected constants to have memory that can be transferred, they have not");
  };
  const Napi::Array list = Napi::Array::New(env, given.size());
  for (std::uint32_t i = 0; i < given.size(); ++i) list.Set(i, given[i]);
  const Napi::Object options = Napi::Object::New(env);
  options.Set("transfer", list);
  Napi::Value taken;
  try {
    taken = environment(env).structured_clone.Value().Call({list, options});
  } catch (const Napi::Error&) {
    refuse();
  }
  TakenMemory memory{array_of(taken, "what was taken"), {}};
  if (memory.buffers.Length() != given.size()) refuse();
  std::vector<Napi::Value> buffers;
  for (std::uint32_t i = 0; i < given.size(); ++i) buffers.push_back(get(memory.buffers, i));
  const Borrow borrow;
  for (const Place& place : places) {
    bool detached = false;
    napi_is_detached_arraybuffer(env, given[place.buffer], &detached);
    const Span<std::byte> span = borrow.buffer(buffers[place.buffer]);
    if (!detached || span.size < place.offset || span.size - place.offset < place.bytes) refuse();
    memory.data.push_back(span.data + place.offset);
  }
  return memory;
}

namespace {

// Throws even if the property has no getter, so that every such mistake in this code shows in tests.
void refuse_borrowed() {
  if (borrows > 0) throw std::logic_error("a property is read while memory is borrowed");
}

}  // namespace

Napi::Value get(const Napi::Object& object, const char* name) {
  refuse_borrowed();
  return object.Get(name);
}

Napi::Value get(const Napi::Array& array, std::uint32_t index) {
  refuse_borrowed();
  return array.Get(index);
}

std::size_t to_size(const Napi::Value& value, const char* what) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= kMaxSafeInteger) || number != std::floor(number))
    fail(code::kInvalidArg, "expected ", what, " to be a whole number from 0");
  return static_cast<std::size_t>(number);
}

std::size_t size_of(const Napi::Object& object, const char* name) { return to_size(get(object, name), name); }

std::size_t size_of(const Napi::Object& object, const char* name, std::size_t fallback) {
  const Napi::Value value = get(object, name);
  return value.IsUndefined() ? fallback : to_size(value, name);
}

double to_number(const Napi::Value& value, const char* what) {
  if (!value.IsNumber()) fail(code::kInvalidArg, "expected ", what, " to be a number, received ", kind_of(value));
  return value.As<Napi::Number>().DoubleValue();
}

double number_of(const Napi::Object& object, const char* name) { return to_number(get(object, name), name); }

double number_of(const Napi::Object& object, const char* name, double fallback) {
  const Napi::Value value = get(object, name);
  return value.IsUndefined() ? fallback : to_number(value, name);
}

bool flag_of(const Napi::Object& object, const char* name) { return get(object, name).ToBoolean(); }

std::string string_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = get(object, name);
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
