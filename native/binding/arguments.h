// Reads plain JavaScript values. lib/ has validated them already; the checks here are those that memory safety needs.
//
// Reading a property may run a getter of the caller, which may detach the memory of an array. So all properties are
// read first, and memory is borrowed last: while a Borrow exists, no property can be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <napi.h>
#include <string>
#include <type_traits>
#include <vector>

namespace qarepvgg::binding {

template <class T>
struct Span {
  T* data = nullptr;
  std::size_t size = 0;
};

// The only access to the memory of typed arrays. Its pointers are valid while it exists.
class Borrow {
 public:
  Borrow() noexcept;
  ~Borrow();
  Borrow(const Borrow&) = delete;
  Borrow& operator=(const Borrow&) = delete;

  // Throws ERR_DTYPE if the value is not a typed array of T, ERR_BUFFER_DETACHED if its memory has been detached.
  template <class T>
  Span<T> array(const Napi::Value& value, const char* what) const {
    std::size_t size = 0;
    void* const data = memory_of(value, what, type_of<T>(), &size);
    return {static_cast<T*>(data), size};
  }
  // Also throws ERR_BUFFER_SIZE if it has another length.
  template <class T>
  T* array(const Napi::Value& value, const char* what, std::size_t length) const {
    const Span<T> span = array<T>(value, what);
    check_length(span.size, length, what);
    return span.data;
  }
  float* floats(const Napi::Value& value, const char* what, std::size_t length) const {
    return array<float>(value, what, length);
  }
  // The whole ArrayBuffer; empty if the value is not one.
  Span<std::byte> buffer(const Napi::Value& value) const;

  // The bytes of an array whose type is known only at run time. Throws the same errors.
  Span<std::byte> bytes(const Napi::Value& value, const char* what, napi_typedarray_type type,
                        std::size_t length) const;

 private:
  template <class T>
  static constexpr napi_typedarray_type type_of() {
    if constexpr (std::is_same_v<T, float>) return napi_float32_array;
    if constexpr (std::is_same_v<T, double>) return napi_float64_array;
    if constexpr (std::is_same_v<T, std::int32_t>) return napi_int32_array;
    if constexpr (std::is_same_v<T, std::int16_t>) return napi_int16_array;
    if constexpr (std::is_same_v<T, std::int8_t>) return napi_int8_array;
    if constexpr (std::is_same_v<T, std::uint8_t>) return napi_uint8_array;
  }
  static void* memory_of(const Napi::Value& value, const char* what, napi_typedarray_type type, std::size_t* length);
  static void check_length(std::size_t received, std::size_t expected, const char* what);
};

// Copies a typed array, of any length or of the given one. Throws the same errors.
template <class T>
std::vector<T> copy_of(const Napi::Value& value, const char* what) {
  const Borrow borrow;
  const Span<T> span = borrow.array<T>(value, what);
  return {span.data, span.data + span.size};
}
template <class T>
std::vector<T> copy_of(const Napi::Value& value, const char* what, std::size_t length) {
  const Borrow borrow;
  const T* const data = borrow.array<T>(value, what, length);
  return {data, data + length};
}

// Memory that no JavaScript code can access, while the buffers live.
struct TakenMemory {
  Napi::Array buffers;
  std::vector<const std::byte*> data;  // of each array
};
// Takes the memory of typed arrays from the caller, which detaches them. `check` may refuse array number i. Throws
// ERR_INVALID_ARG for memory that cannot be detached, such as that of WebAssembly.
TakenMemory take_memory(Napi::Env env, const std::vector<Napi::Value>& arrays,
                        const std::function<void(const Borrow&, std::size_t)>& check);

// A property, or an element, of any type.
Napi::Value get(const Napi::Object& object, const char* name);
Napi::Value get(const Napi::Array& array, std::uint32_t index);

// A property that is a whole number from 0 to 2^53 - 1. Throws ERR_INVALID_ARG.
std::size_t size_of(const Napi::Object& object, const char* name);
std::size_t size_of(const Napi::Object& object, const char* name, std::size_t fallback);
double number_of(const Napi::Object& object, const char* name);
double number_of(const Napi::Object& object, const char* name, double fallback);
bool flag_of(const Napi::Object& object, const char* name);
std::string string_of(const Napi::Object& object, const char* name);
Napi::Object object_of(const Napi::Value& value, const char* what);
Napi::Array array_of(const Napi::Value& value, const char* what);
// Calls visit(element) for each element of a property that is an array.
template <class Visit>
void for_each(const Napi::Object& object, const char* name, const Visit& visit) {
  const Napi::Array array = array_of(get(object, name), name);
  for (std::uint32_t i = 0; i < array.Length(); ++i) visit(get(array, i));
}
// The same for values that are not properties.
std::size_t to_size(const Napi::Value& value, const char* what);
double to_number(const Napi::Value& value, const char* what);

}  // namespace qarepvgg::binding
