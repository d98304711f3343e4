#include "binding/results.h"

#include <algorithm>
#include <new>

#include "base/arena.h"
#include "binding/guard.h"

namespace qarepvgg::binding {

Napi::Float32Array new_floats(Napi::Env env, std::size_t length) {
  try {
    const Napi::Object made = environment(env).float32_array.New({Napi::Number::New(env, static_cast<double>(length))});
    Napi::Float32Array floats = made.As<Napi::Float32Array>();
    advise_huge_pages(floats.Data(), length * sizeof(float));
    return floats;
  } catch (const Napi::Error&) {
    throw std::bad_alloc();
  }
}

Napi::Float32Array new_floats(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array copy = new_floats(env, values.size());
  std::copy(values.begin(), values.end(), copy.Data());
  return copy;
}

void settle(Napi::Env env, const Napi::Promise::Deferred& deferred, std::exception_ptr failure,
            const std::function<Napi::Value()>& result) {
  try {
    if (failure) std::rethrow_exception(failure);
    deferred.Resolve(result());
  } catch (const Napi::Error& error) {
    deferred.Reject(error.Value());
  } catch (...) {
    deferred.Reject(translate(env, std::current_exception()).Value());
  }
}

}  // namespace qarepvgg::binding
