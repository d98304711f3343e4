#include "binding/memory_binding.h"

#include "base/arena.h"
#include "binding/arguments.h"

namespace qarepvgg::binding {
namespace {

Napi::Value advise(const Napi::CallbackInfo& info) {
  const Borrow borrow;
  const auto memory = borrow.buffer(info[0]);
  advise_huge_pages(memory.data, memory.size);
  return info.Env().Undefined();
}

// A buffer that cannot be detached is left alone.
Napi::Value release(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) napi_detach_arraybuffer(info.Env(), info[0]);
  return info.Env().Undefined();
}

}  // namespace

void define_memory(Napi::Env env, Napi::Object exports) {
  exports.Set("adviseHugePages", Napi::Function::New<advise>(env, "adviseHugePages"));
  exports.Set("releaseMemory", Napi::Function::New<release>(env, "releaseMemory"));
}

}  // namespace qarepvgg::binding
