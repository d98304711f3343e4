#include "binding/histogram_binding.h"

#include "base/error.h"
#include "binding/arguments.h"
#include "binding/guard.h"
#include "ops/histogram.h"

namespace qarepvgg::binding {
namespace {

Napi::Value extent(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Floats values = floats_of(info[0], "values");
    const Extent extent = extent_of(values.data, values.size);
    Napi::Array result = Napi::Array::New(env, 2);
    result.Set(0u, Napi::Number::New(env, static_cast<double>(extent.low)));
    result.Set(1u, Napi::Number::New(env, static_cast<double>(extent.high)));
    return result;
  });
}

Napi::Value count(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Floats values = floats_of(info[0], "values");
    std::size_t length = 0;
    double* counts = static_cast<double*>(typed_array_of(info[1], "counts", napi_float64_array, &length));
    if (length < 2 || length % 2 != 0) {
      fail(code::kBufferSize, "expected counts for two sides of zero, received ", length);
    }
    if (!info[2].IsNumber()) fail(code::kInvalidArg, "expected scale to be a number, received another value");
    count_values(values.data, values.size, info[2].As<Napi::Number>().DoubleValue(), counts, length / 2);
    return env.Undefined();
  });
}

}  // namespace

void define_histogram(Napi::Env env, Napi::Object exports) {
  exports.Set("extent", Napi::Function::New<extent>(env, "extent"));
  exports.Set("countValues", Napi::Function::New<count>(env, "countValues"));
}

}  // namespace qarepvgg::binding
