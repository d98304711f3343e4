// `adviseHugePages`, `releaseMemory` and `settleFloats` of binding.d.ts.
#pragma once

#include <napi.h>

namespace qarepvgg::binding {

void define_memory(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
