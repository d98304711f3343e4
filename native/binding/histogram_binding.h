// Histograms of activations.
#pragma once

#include <napi.h>

namespace qarepvgg::binding {

void define_histogram(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
