// `packEarly` of binding.d.ts.
#pragma once

#include <memory>
#include <napi.h>

#include "program/infer/early_weights.h"

namespace qarepvgg::binding {

// Takes them, because the garbage collector may free what JavaScript has late. Null if undefined or taken before.
// Throws ERR_INVALID_ARG.
std::shared_ptr<EarlyWeights> take_early_weights(const Napi::Value& value);

void define_early(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
