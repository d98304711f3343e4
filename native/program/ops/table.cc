#include "program/ops/table.h"

namespace qarepvgg {

const OpEntry* find_op(const std::string& name) {
  static constexpr OpEntry kOps[]{
#define OP(name, make) {name, make},
#include "program/ops/table.inc"
#undef OP
  };
  for (const OpEntry& op : kOps)
    if (name == op.name) return &op;
  return nullptr;
}

}  // namespace qarepvgg
