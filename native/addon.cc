// Registration only: each export has its own file pair in binding/.
#include <napi.h>

#include "binding/completions.h"
#include "binding/fuse_binding.h"
#include "binding/guard.h"
#include "binding/histogram_binding.h"
#include "binding/info_binding.h"
#include "binding/memory_binding.h"
#include "binding/program_binding.h"
#include "binding/session_binding.h"
#include "binding/trainer_binding.h"

namespace {

Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  qarepvgg::binding::environment(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  using namespace qarepvgg::binding;
  auto state = std::make_unique<Environment>();
  state->float32_array = Napi::Persistent(env.Global().Get("Float32Array").As<Napi::Function>());
  state->completions = Completions::create(env);
  env.SetInstanceData(state.release());
  exports.Set("setErrorClass", Napi::Function::New<set_error_class>(env, "setErrorClass"));
  define_histogram(env, exports);
  define_info(env, exports);
  define_fuse(env, exports);
  define_memory(env, exports);
  define_program(env, exports);
  define_session(env, exports);
  define_trainer(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(qarepvgg, initialise)
