// The N-API border: where C++ exceptions become JavaScript errors, once.
#pragma once

#include <exception>
#include <memory>
#include <napi.h>
#include <new>

#include "base/error.h"

namespace qarepvgg::binding {

class AsyncRuns;

// What the addon keeps per JavaScript environment (the main thread and every Worker have their own).
struct Environment {
  Napi::FunctionReference error_class;
  Napi::FunctionReference session_class;
  // Constructors of typed arrays by type of elements (array_types.h), as they were when the addon was loaded.
  Napi::FunctionReference array_classes[6];
  Napi::FunctionReference structured_clone;  // the function, likewise
  std::shared_ptr<AsyncRuns> runs;
};

inline Environment& environment(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

// A QARepVGGError, or a plain Error with `code` before setErrorClass was called. Allocates no native memory, as it may
// have to tell that there is none.
Napi::Error make_error(Napi::Env env, const char* code, const char* message);

// Makes an Error of any exception: what is not ours can only be lack of memory or a defect. Likewise.
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
