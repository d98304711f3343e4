#include "binding/info_binding.h"

#include "base/compute_queue.h"
#include "base/parallel.h"
#include "base/threads.h"
#include "binding/arguments.h"
#include "binding/guard.h"
#include "kernels/dispatch.h"
#include "kernels/peak.h"

namespace qarepvgg::binding {
namespace {

Napi::Value info_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Napi::Object result = Napi::Object::New(env);
    result.Set("version", QAREPVGG_VERSION);
    result.Set("isa", active_kernels().isa);
    const Napi::Array isas = Napi::Array::New(env);
    for (const KernelTable* table : available_kernels()) isas.Set(isas.Length(), table->isa);
    result.Set("isas", isas);
    const ThreadBudget& threads = thread_budget();
    result.Set("threads", threads.count);
    result.Set("threadsFrom", threads.source);
    result.Set("teamSize", team_size());
    return result;
  });
}

double (*peak_loop(const Napi::Value& precision))(std::size_t) {
  const std::string name = precision.IsString() ? precision.As<Napi::String>().Utf8Value() : "no string";
  if (name == "float32") return active_kernels().fma_peak;
  if (name == "int8") return active_kernels().integer->dot_peak;
  fail(code::kInvalidArg, "expected the precision 'float32' or 'int8', received ", name);
}

Napi::Value peak_rate(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto loop = peak_loop(info[0]);
    const std::size_t threads = to_size(info[1], "threads");
    if (threads < 1 || threads > static_cast<std::size_t>(kMaxThreads))
      fail(code::kInvalidArg, "expected 1 to ", kMaxThreads, " threads, received ", threads);
    double peak = 0;
    compute_now([&] { peak = measure_peak(loop, static_cast<int>(threads)); });
    return Napi::Number::New(info.Env(), peak);
  });
}

}  // namespace

void define_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New<info_of>(env, "info"));
  exports.Set("peakRate", Napi::Function::New<peak_rate>(env, "peakRate"));
}

}  // namespace qarepvgg::binding
