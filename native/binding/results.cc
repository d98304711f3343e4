#include "binding/results.h"

#include <algorithm>
#include <new>
#include <string>

#include "base/arena.h"
#include "base/checked.h"
#include "binding/arguments.h"
#include "binding/array_types.h"
#include "binding/guard.h"

namespace qarepvgg::binding {
namespace {

Span<std::byte> memory_of(const Borrow& borrow, const Napi::TypedArray& array, Dtype type) {
  return borrow.bytes(array, "the result", array_type_of(type).type, array.ElementLength());
}

// Below, V8 makes an array of zeros faster than one of a buffer.
constexpr std::size_t kLeastUnsetBytes = 1 << 16;

// Calls the constructor of typed arrays with the result of `argument`: a length, or memory of that length.
template <class Argument>
Napi::TypedArray construct(Napi::Env env, Dtype type, std::size_t length, const Argument& argument) {
  Napi::TypedArray array;
  try {
    array = environment(env).array_classes[index_of(type)].New({argument()}).template As<Napi::TypedArray>();
  } catch (const Napi::Error&) {
    throw std::bad_alloc();
  }
  const Borrow borrow;
  const Span<std::byte> memory = borrow.bytes(array, "the result", array_type_of(type).type, length);
  advise_huge_pages(memory.data, memory.size);
  return array;
}

// An array with undefined content, which the caller overwrites in full.
Napi::TypedArray new_unset_array(Napi::Env env, Dtype type, std::size_t length) {
  const std::size_t bytes = checked_mul(length, bytes_of(type));
  if (bytes < kLeastUnsetBytes) return new_array(env, type, length);
  return construct(env, type, length, [&] {
    const Napi::Number size = Napi::Number::New(env, static_cast<double>(bytes));
    return environment(env).unset_buffer.Call({size}).As<Napi::TypedArray>().ArrayBuffer();
  });
}

}  // namespace

Napi::TypedArray new_array(Napi::Env env, Dtype type, std::size_t length) {
  return construct(env, type, length, [&] { return Napi::Number::New(env, static_cast<double>(length)); });
}

Napi::TypedArray new_array(Napi::Env env, Dtype type, const Span<const std::byte>& elements) {
  const Napi::TypedArray array = new_unset_array(env, type, elements.size / bytes_of(type));
  const Borrow borrow;
  std::copy_n(elements.data, elements.size, memory_of(borrow, array, type).data);
  return array;
}

NewArrays new_arrays(Napi::Env env, const std::vector<TensorType>& types, std::size_t count) {
  NewArrays made{Napi::Array::New(env, types.size()), {}};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const Napi::TypedArray array = new_unset_array(env, types[i].type, checked_mul(count, types[i].elements()));
    // An assignment would call a setter of Array.prototype, which would then have the array.
    const Napi::String index = Napi::String::New(env, std::to_string(i));
    made.list.DefineProperty(Napi::PropertyDescriptor::Value(index, array, napi_default_jsproperty));
    const Borrow borrow;
    made.data.push_back(memory_of(borrow, array, types[i].type).data);
  }
  return made;
}

Napi::Array new_dims(Napi::Env env, const Dims& dims) {
  const Napi::Array list = Napi::Array::New(env, dims.size());
  for (std::uint32_t i = 0; i < dims.size(); ++i) list.Set(i, static_cast<double>(dims[i]));
  return list;
}

Napi::Float32Array new_floats(Napi::Env env, std::size_t length) {
  return new_array(env, Dtype::kFloat32, length).As<Napi::Float32Array>();
}

Napi::Float32Array new_floats(Napi::Env env, const std::vector<float>& values) {
  const Napi::Float32Array copy = new_floats(env, values.size());
  const Borrow borrow;
  std::copy(values.begin(), values.end(), borrow.floats(copy, "the result", values.size()));
  return copy;
}

Napi::Object new_object(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> properties) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, value] : properties)
    object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_default_jsproperty));
  return object;
}

}  // namespace qarepvgg::binding
