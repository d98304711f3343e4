// Scales images, places them and turns them into numbers, off the JavaScript thread.
#pragma once

#include <napi.h>

namespace qarepvgg::binding {

void define_image(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::binding
