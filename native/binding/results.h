// Hands results to JavaScript.
#pragma once

#include <initializer_list>
#include <napi.h>
#include <utility>
#include <vector>

#include "binding/arguments.h"
#include "program/graph.h"

namespace qarepvgg::binding {

// A zero-filled Float32Array of ordinary V8 memory. Throws std::bad_alloc when there is none: Node-API's own call would
// end the process.
Napi::Float32Array new_floats(Napi::Env env, std::size_t length);
Napi::Float32Array new_floats(Napi::Env env, const std::vector<float>& values);

// Likewise, of any type. Bool is bytes of 0 and 1.
Napi::TypedArray new_array(Napi::Env env, Dtype type, std::size_t length);
Napi::TypedArray new_array(Napi::Env env, Dtype type, const Span<const std::byte>& elements);

Napi::Array new_dims(Napi::Env env, const Dims& dims);

// A plain object of these properties. Runs no code of the caller's, unlike assignments, which setters of
// Object.prototype see.
Napi::Object new_object(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> properties);

}  // namespace qarepvgg::binding
