#include "binding/memory_binding.h"

#include "base/arena.h"

namespace qarepvgg::binding {
namespace {

Napi::Value advise(const Napi::CallbackInfo& info) {
  void* data = nullptr;
  std::size_t bytes = 0;
  if (info[0].IsArrayBuffer() && napi_get_arraybuffer_info(info.Env(), info[0], &data, &bytes) == napi_ok)
    advise_huge_pages(data, bytes);
  return info.Env().Undefined();
}

}  // namespace

void define_memory(Napi::Env env, Napi::Object exports) {
  exports.Set("adviseHugePages", Napi::Function::New<advise>(env, "adviseHugePages"));
}

}  // namespace qarepvgg::binding
