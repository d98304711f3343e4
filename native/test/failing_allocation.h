// Exports of an addon whose allocations fail on demand.
#pragma once

#include <napi.h>

namespace qarepvgg::test {

void define_failing_allocation(Napi::Env env, Napi::Object exports);

}  // namespace qarepvgg::test
