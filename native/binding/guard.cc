#include "binding/guard.h"

namespace qarepvgg::binding {

Napi::Error make_error(Napi::Env env, const char* code, const char* message) {
  const Napi::FunctionReference& error_class = environment(env).error_class;
  if (!error_class.IsEmpty()) {
    const Napi::Object error = error_class.New({Napi::String::New(env, code), Napi::String::New(env, message)});
    return Napi::Error(env, error);
  }
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Napi::Error translate(Napi::Env env, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Napi::Error& error) {
    return error;  // thrown by JavaScript
  } catch (const Error& error) {
    return make_error(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return make_error(env, code::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return Napi::Error::New(env, error.what());
  } catch (...) {
    return Napi::Error::New(env, "unknown native error");
  }
}

}  // namespace qarepvgg::binding
