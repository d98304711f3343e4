// Makes JavaScript values from results.
#pragma once

#include <initializer_list>
#include <napi.h>
#include <utility>
#include <vector>

#include "binding/arguments.h"
#include "program/graph.h"

namespace qarepvgg::binding {

// Makes a zero-filled Float32Array in V8's own memory. Throws std::bad_alloc if there is none, where the function of
// Node-API would end the process.
Napi::Float32Array new_floats(Napi::Env env, std::size_t length);
Napi::Float32Array new_floats(Napi::Env env, const std::vector<float>& values);

// The same for any type. A bool is a byte, 0 or 1.
Napi::TypedArray new_array(Napi::Env env, Dtype type, std::size_t length);
Napi::TypedArray new_array(Napi::Env env, Dtype type, const Span<const std::byte>& elements);

// Arrays that JavaScript does not know of yet. Until it does, any thread may write to them.
struct NewArrays {
  Napi::Array list;
  std::vector<std::byte*> data;  // of each array
};
// Makes one for each type, for `count` tensors of that type that follow one another.
NewArrays new_arrays(Napi::Env env, const std::vector<TensorType>& types, std::size_t count);

Napi::Array new_dims(Napi::Env env, const Dims& dims);

// Makes a plain object with these properties. Runs none of the caller's code; assignments would call setters of
// Object.prototype.
Napi::Object new_object(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> properties);

}  // namespace qarepvgg::binding
