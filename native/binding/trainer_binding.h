// `Trainer` of binding.d.ts.
#pragma once

#include <napi.h>

namespace qarepvgg::binding {

void define_trainer(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
