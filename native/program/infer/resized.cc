#include "program/infer/resized.h"

#include <algorithm>

#include "program/infer/conversion.h"

namespace qarepvgg {
namespace {

using Home = Buffer::Home;
using Job = StageLayout::Job;

std::vector<ValueType> types_of(const std::vector<BufferId>& ids, const std::vector<ValueType>& types) {
  std::vector<ValueType> list;
  for (BufferId id : ids) list.push_back(id == kNoBuffer ? ValueType{} : types[id]);
  return list;
}

// Returns the types of a stage's outputs. If its inputs have other dims than those of the layout, sets `op` to the op
// for them.
std::vector<ValueType> outputs_of(const StageLayout& stage, const std::vector<ValueType>& types,
                                  const GraphLayout& layout, std::unique_ptr<Op>& op) {
  if (stage.job == Job::kOp) {
    op = layout.ops[stage.op]->resized(types_of(stage.inputs, types));
    if (op == nullptr)
      fail(code::kShape, "expected inputs of the dims that the graph was compiled for (", layout.names[stage.op], ")");
    return op->outputs();
  }
  const ValueType type = types[stage.inputs[0]];
  if (stage.job == Job::kImport) return {in_layout(type, Layout::kMap)};
  return {stage.job == Job::kExport ? in_layout(type, Layout::kPlain) : type};
}

// Only heights and widths of images may differ from the dims that weights were packed for.
void check_dims(const Dims& given, const Dims& own) {
  bool fits = given.size() == own.size();
  for (std::size_t i = 0; fits && i < own.size(); ++i)
    fits = given[i] == own[i] || (own.size() == 4 && i >= 2 && given[i] > 0);
  if (!fits) fail(code::kShape, "expected dims like ", text_of(own), ", received ", text_of(given));
}

}  // namespace

Resized resize(const GraphLayout& layout, const std::vector<Dims>& inputs) {
  Resized resized;
  resized.ops.resize(layout.ops.size());
  for (const Buffer& buffer : layout.buffers) resized.types.push_back(buffer.type);
  for (BufferId id = 0; id < layout.buffers.size(); ++id) {
    const Buffer& buffer = layout.buffers[id];
    if (buffer.home != Home::kInput) continue;
    check_dims(inputs[buffer.index], buffer.type.dims());
    resized.types[id].tensor.dims = inputs[buffer.index];
  }
  const auto is_as_made = [&](BufferId id) {
    return id == kNoBuffer || resized.types[id].tensor == layout.buffers[id].type.tensor;
  };
  for (const StageLayout& stage : layout.stages) {
    if (std::all_of(stage.inputs.begin(), stage.inputs.end(), is_as_made)) continue;
    std::unique_ptr<Op> op;
    const std::vector<ValueType> outputs = outputs_of(stage, resized.types, layout, op);
    for (std::size_t i = 0; i < outputs.size(); ++i) resized.types[stage.outputs[i]] = outputs[i];
    if (stage.job == Job::kOp) resized.ops[stage.op] = std::move(op);
  }
  return resized;
}

}  // namespace qarepvgg
