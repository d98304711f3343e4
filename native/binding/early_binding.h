// `packEarly` of binding.d.ts.
#pragma once

#include <memory>
#include <napi.h>

#include "program/infer/early_weights.h"

namespace qarepvgg::binding {

// Null if undefined. Throws ERR_INVALID_ARG.
std::shared_ptr<EarlyWeights> early_weights_of(const Napi::Value& value);

void define_early(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
