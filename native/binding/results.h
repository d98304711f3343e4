// Hands results to JavaScript.
#pragma once

#include <exception>
#include <functional>
#include <napi.h>
#include <vector>

namespace qarepvgg::binding {

// A zero-filled Float32Array of ordinary V8 memory. Throws std::bad_alloc when there is none: Node-API's own call would
// end the process.
Napi::Float32Array new_floats(Napi::Env env, std::size_t length);
Napi::Float32Array new_floats(Napi::Env env, const std::vector<float>& values);

// Settles a promise on the JavaScript thread: rejects with `failure` if there is one, or with what `result` throws.
void settle(Napi::Env env, const Napi::Promise::Deferred& deferred, std::exception_ptr failure,
            const std::function<Napi::Value()>& result);

}  // namespace qarepvgg::binding
