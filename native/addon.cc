// Registration only: each export has its own file pair in binding/.
#include <napi.h>

#include "binding/array_types.h"
#include "binding/async.h"
#include "binding/early_binding.h"
#include "binding/fuse_binding.h"
#include "binding/guard.h"
#include "binding/histogram_binding.h"
#include "binding/image_binding.h"
#include "binding/info_binding.h"
#include "binding/memory_binding.h"
#include "binding/program_binding.h"
#include "binding/session_binding.h"
#include "binding/trainer_binding.h"
#ifdef QAREPVGG_FAIL_ALLOCATIONS
#include "test/failing_allocation.h"
#endif

namespace {

Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  qarepvgg::binding::environment(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  using namespace qarepvgg::binding;
  auto state = std::make_unique<Environment>();
  for (const ArrayType& type : kArrayTypes)
    state->array_classes[index_of(type.element)] =
        Napi::Persistent(env.Global().Get(type.class_name).As<Napi::Function>());
  state->structured_clone = Napi::Persistent(env.Global().Get("structuredClone").As<Napi::Function>());
  const Napi::Object buffer_class = env.Global().Get("Buffer").As<Napi::Object>();
  state->unset_buffer = Napi::Persistent(buffer_class.Get("allocUnsafeSlow").As<Napi::Function>());
  state->runs = AsyncRuns::create(env);
  env.SetInstanceData(state.release());
  exports.Set("setErrorClass", Napi::Function::New<set_error_class>(env, "setErrorClass"));
  define_early(env, exports);
  define_histogram(env, exports);
  define_image(env, exports);
  define_info(env, exports);
  define_fuse(env, exports);
  define_memory(env, exports);
  define_program(env, exports);
  define_session(env, exports);
  define_trainer(env, exports);
#ifdef QAREPVGG_FAIL_ALLOCATIONS
  qarepvgg::test::define_failing_allocation(env, exports);
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(qarepvgg, initialise)
