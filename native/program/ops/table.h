// Every op of the engine, by the name that nodes use.
#pragma once

#include <memory>
#include <string>

#include "program/op.h"

namespace qarepvgg {

struct OpEntry {
  const char* name;
  std::unique_ptr<Op> (*make)(const OpContext& context);
};

// Null for an unknown name.
const OpEntry* find_op(const std::string& name);

#define OP(name, make) std::unique_ptr<Op> make(const OpContext& context);
#include "program/ops/table.inc"
#undef OP

}  // namespace qarepvgg
