// Reads plain JavaScript values. lib/ has validated them already; what is checked here is what memory safety needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <napi.h>
#include <string>
#include <vector>

namespace qarepvgg::binding {

// A Float32Array's memory. Valid until JavaScript runs again.
struct Floats {
  float* data = nullptr;
  std::size_t size = 0;
};

// Throws ERR_DTYPE when it is no Float32Array, ERR_BUFFER_DETACHED when its memory is gone.
Floats floats_of(const Napi::Value& value, const char* what);
// Also throws ERR_BUFFER_SIZE when its length is another.
Floats floats_of(const Napi::Value& value, const char* what, std::size_t length);

// The memory of any typed array of that type and length. Errors as above.
void* typed_array_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t length);
// Of any length.
void* typed_array_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t* length);
template <class T>
T* typed_array_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t length) {
  return static_cast<T*>(typed_array_of(value, what, type, length));
}

// A copy of a typed array of any length. Errors as above.
template <class T>
std::vector<T> copy_of(const Napi::Value& value, const char* what, napi_typedarray_type type) {
  std::size_t length = 0;
  const T* data = static_cast<const T*>(typed_array_of(value, what, type, &length));
  return {data, data + length};
}

// A property that is a whole number from 0 to 2^53 - 1. Throws ERR_INVALID_ARG.
std::size_t size_of(const Napi::Object& object, const char* name);
std::size_t size_of(const Napi::Object& object, const char* name, std::size_t fallback);
double number_of(const Napi::Object& object, const char* name);
bool flag_of(const Napi::Object& object, const char* name);
std::string string_of(const Napi::Object& object, const char* name);
Napi::Object object_of(const Napi::Value& value, const char* what);
Napi::Array array_of(const Napi::Value& value, const char* what);
// A whole number in its own right, not a property.
std::size_t to_size(const Napi::Value& value, const char* what);

}  // namespace qarepvgg::binding
