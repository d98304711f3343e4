// Reads plain JavaScript values. lib/ has validated them already; what is checked here is what memory safety needs.
//
// Reading a property may run code of the caller's, a getter, and that code may take the memory of an array away. So all
// properties are read first, and memory is borrowed last: while a Borrow exists, no property can be read.
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

// The only way to the memory of typed arrays. Pointers are valid while it exists.
class Borrow {
 public:
  Borrow() noexcept;
  ~Borrow();
  Borrow(const Borrow&) = delete;
  Borrow& operator=(const Borrow&) = delete;

  // Throws ERR_DTYPE when the value is no typed array of T, ERR_BUFFER_DETACHED when its memory is gone.
  template <class T>
  Span<T> array(const Napi::Value& value, const char* what) const {
    std::size_t size = 0;
    void* const data = memory_of(value, what, type_of<T>(), &size);
    return {static_cast<T*>(data), size};
  }
  // Also throws ERR_BUFFER_SIZE when its length is another.
  template <class T>
  T* array(const Napi::Value& value, const char* what, std::size_t length) const {
    const Span<T> span = array<T>(value, what);
    check_length(span.size, length, what);
    return span.data;
  }
  float* floats(const Napi::Value& value, const char* what, std::size_t length) const {
    return array<float>(value, what, length);
  }
  // All of an ArrayBuffer; nothing where it is none.
  Span<std::byte> buffer(const Napi::Value& value) const;

  // The bytes of an array of a type that is known at run time only. Errors as above.
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

// A copy of a typed array of any length, or of that length. Errors as above.
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

// Memory that nobody else can reach or take away, as long as the buffers live.
struct TakenMemory {
  Napi::Array buffers;
  std::vector<const std::byte*> data;  // of each array
};
// Takes the memory of typed arrays from the caller, whose arrays are detached then. `check` may refuse array number i.
// Throws ERR_INVALID_ARG for memory that cannot be taken, such as that of WebAssembly.
TakenMemory take_memory(Napi::Env env, const std::vector<Napi::Value>& arrays,
                        const std::function<void(const Borrow&, std::size_t)>& check);

// A property of any kind, and an element.
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
// Numbers in their own right, not properties.
std::size_t to_size(const Napi::Value& value, const char* what);
double to_number(const Napi::Value& value, const char* what);

}  // namespace qarepvgg::binding
