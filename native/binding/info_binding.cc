#include "binding/info_binding.h"

#include "base/compute_queue.h"
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
    return result;
  });
}

Napi::Value peak_flops(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::size_t threads = to_size(info[0], "threads");
    if (threads < 1 || threads > static_cast<std::size_t>(kMaxThreads))
      fail(code::kInvalidArg, "expected 1 to ", kMaxThreads, " threads, received ", threads);
    double peak = 0;
    compute_now([&] { peak = measure_peak(active_kernels().fma_peak, static_cast<int>(threads)); });
    return Napi::Number::New(info.Env(), peak);
  });
}

}  // namespace

void define_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New<info_of>(env, "info"));
  exports.Set("peakFlops", Napi::Function::New<peak_flops>(env, "peakFlops"));
}

}  // namespace qarepvgg::binding
