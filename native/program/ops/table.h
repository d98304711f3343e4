// Every op of the engine, by the name that nodes use.
#pragma once

#include <memory>
#include <string>

#include "program/op.h"
#include "program/train/trained_op.h"

namespace qarepvgg {

struct OpEntry {
  const char* name;
  std::unique_ptr<Op> (*make)(const OpContext& context);                // null if it is for training only
  std::unique_ptr<TrainedOp> (*train)(const TrainingContext& context);  // null if it is for inference only
};

// Null for an unknown name.
const OpEntry* find_op(const std::string& name);

#define OP(name, make) std::unique_ptr<Op> make(const OpContext& context);
#define TRAINING_OP(name, train) std::unique_ptr<TrainedOp> train(const TrainingContext& context);
#define TRAINED_OP(name, make, train) OP(name, make) TRAINING_OP(name, train)
#include "program/ops/table.inc"
#undef OP
#undef TRAINING_OP
#undef TRAINED_OP

}  // namespace qarepvgg
