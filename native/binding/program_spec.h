// Reads a `ProgramSpec` of binding.d.ts.
#pragma once

#include <napi.h>

#include "program/train/spec.h"

namespace qarepvgg::binding {

ProgramSpec read_program_spec(const Napi::Value& value);

}  // namespace qarepvgg::binding
