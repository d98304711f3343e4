#include "program/ops/table.h"

namespace qarepvgg {

const OpEntry* find_op(const std::string& name) {
  static constexpr OpEntry kOps[]{
#define OP(name, make) {name, make, nullptr},
#define TRAINING_OP(name, train) {name, nullptr, train},
#define TRAINED_OP(name, make, train) {name, make, train},
#include "program/ops/table.inc"
#undef OP
#undef TRAINING_OP
#undef TRAINED_OP
  };
  for (const OpEntry& op : kOps)
    if (name == op.name) return &op;
  return nullptr;
}

}  // namespace qarepvgg
