#include "binding/histogram_binding.h"

#include "base/error.h"
#include "binding/arguments.h"
#include "binding/guard.h"
#include "ops/histogram.h"

namespace qarepvgg::binding {
namespace {

Extent extent_in(const Napi::Value& array) {
  const Borrow borrow;
  const auto values = borrow.array<float>(array, "values");
  return extent_of(values.data, values.size);
}

Napi::Value extent(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Extent extent = extent_in(info[0]);
    Napi::Array result = Napi::Array::New(env, 2);
    result.Set(0u, Napi::Number::New(env, static_cast<double>(extent.low)));
    result.Set(1u, Napi::Number::New(env, static_cast<double>(extent.high)));
    return result;
  });
}

Napi::Value count(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const double scale = to_number(info[2], "scale");
    const Borrow borrow;
    const auto values = borrow.array<float>(info[0], "values");
    const auto counts = borrow.array<double>(info[1], "counts");
    if (counts.size < 2 || counts.size % 2 != 0)
      fail(code::kBufferSize, "expected counts for two sides of zero, received ", counts.size);
    count_values(values.data, values.size, scale, counts.data, counts.size / 2);
    return env.Undefined();
  });
}

}  // namespace

void define_histogram(Napi::Env env, Napi::Object exports) {
  exports.Set("extent", Napi::Function::New<extent>(env, "extent"));
  exports.Set("countValues", Napi::Function::New<count>(env, "countValues"));
}

}  // namespace qarepvgg::binding
