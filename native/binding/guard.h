// The N-API border: where C++ exceptions become JavaScript errors, once.
#pragma once

#include <exception>
#include <memory>
#include <napi.h>
#include <new>

#include "base/error.h"

namespace qarepvgg::binding {

class Completions;

// What the addon keeps per JavaScript environment (the main thread and every Worker have their own).
struct Environment {
  Napi::FunctionReference error_class;
  Napi::FunctionReference session_class;
  Napi::FunctionReference float32_array;  // the constructor, as it was when the addon was loaded
  std::shared_ptr<Completions> completions;
};

inline Environment& environment(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

// A QARepVGGError, or a plain Error with `code` before setErrorClass was called.
Napi::Error make_error(Napi::Env env, const char* code, const std::string& message);

// Makes an Error of any exception: what is not ours can only be lack of memory or a defect.
Napi::Error translate(Napi::Env env, std::exception_ptr failure);

// Runs the body of an exported function.
template <class Body>
decltype(auto) guard(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;  // JavaScript's own
  } catch (...) {
    throw translate(env, std::current_exception());
  }
}

}  // namespace qarepvgg::binding
