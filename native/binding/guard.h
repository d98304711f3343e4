// The N-API border: the only place where C++ exceptions become JavaScript errors.
#pragma once

#include <exception>
#include <memory>
#include <napi.h>

#include "base/error.h"

namespace qarepvgg::binding {

class AsyncRuns;

// State of the addon for one JavaScript environment; the main thread and every Worker have their own.
struct Environment {
  Napi::FunctionReference error_class;
  Napi::FunctionReference session_class;
  // Constructors of typed arrays by element type (array_types.h), saved when the addon was loaded.
  Napi::FunctionReference array_classes[6];
  Napi::FunctionReference structured_clone;  // saved likewise
  Napi::FunctionReference unset_buffer;      // Buffer.allocUnsafeSlow, saved likewise
  std::shared_ptr<AsyncRuns> runs;
};

inline Environment& environment(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

// Makes a QARepVGGError, or a plain Error with `code` before setErrorClass has been called. Allocates no native memory,
// because it may have to report that there is none.
Napi::Error make_error(Napi::Env env, const char* code, const char* message);

// Makes an Error from any exception, without allocating native memory. An exception that is not an Error of this code
// is either lack of memory or a bug.
Napi::Error translate(Napi::Env env, const std::exception_ptr& failure);

// Runs the body of an exported function.
template <class Body>
decltype(auto) guard(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (...) {
    throw translate(env, std::current_exception());
  }
}

}  // namespace qarepvgg::binding
