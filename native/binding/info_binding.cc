#include "binding/info_binding.h"

#include "base/threads.h"
#include "binding/guard.h"
#include "kernels/dispatch.h"

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

}  // namespace

void define_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New<info_of>(env, "info"));
}

}  // namespace qarepvgg::binding
