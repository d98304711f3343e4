// `Program` of binding.d.ts.
#pragma once

#include <napi.h>

namespace qarepvgg::binding {

void define_program(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
