#include "program/train/trained_op.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

Dims without_trailing_ones(Dims dims) {
  while (!dims.empty() && dims.back() == 1) dims.pop_back();
  return dims;
}

}  // namespace

int Run::team(double work) const {
  // Waking a thread takes a few microseconds, about as long as this many elementary operations.
  constexpr double kWorkPerThread = 1 << 16;
  return static_cast<int>(std::clamp(work / kWorkPerThread, 1.0, static_cast<double>(threads)));
}

MapShape TrainingContext::map(std::size_t input) const {
  if (!is_given(input) || inputs[input].layout != Layout::kMap)
    fail(code::kInvalidArg, "expected operand ", input, " to be the input or the output of a node");
  const Dims& dims = inputs[input].dims();
  return {dims[0], dims[1], dims[2], dims[3]};
}

StateOffset TrainingContext::tensor(std::size_t input, const Dims& dims) const {
  const StateTensor* tensor = is_given(input) ? program.tensor(node.inputs[input]) : nullptr;
  if (tensor == nullptr) fail(code::kInvalidArg, "expected operand ", input, " to be a tensor of the state");
  if (without_trailing_ones(tensor->dims) != without_trailing_ones(dims))
    fail(code::kShape, "expected operand ", input, " to be ", text_of(dims), ", received ", text_of(tensor->dims));
  const std::size_t floats = elements_of(dims);
  if (floats > program.state_length || tensor->offset > program.state_length - floats)
    fail(code::kInvalidArg, "expected operand ", input, " to lie inside a state of ", program.state_length,
         " floats, received offset ", tensor->offset, " and ", floats, " floats");
  return tensor->offset;
}

bool TrainingContext::has_relu() const {
  if (!attributes().has("activation")) return false;
  const std::string& name = attributes().text("activation");
  if (name != "relu" && name != "none")
    fail(code::kInvalidArg, "expected an activation of relu or none, received '", name, "'");
  return name == "relu";
}

void TrainingContext::expect_no_activation() const {
  if (has_relu()) fail(code::kInvalidArg, "expected no activation, received relu");
}

TrainedOp::TrainedOp(const TrainingContext& context, const MapShape& output)
    : output_(output), relu_(context.has_relu()) {
  output.elements();  // throws if there are too many
  for (ValueId id : context.node.inputs)
    if (id != kNoValue && context.program.tensor(id) == nullptr) inputs_.push_back(context.program.map(id));
}

void TrainedOp::mask_gradient(int team) const {
  if (relu_) relu_backward(grad_y(), y(), false, grad_y(), active_kernels(), team);
}

std::unique_ptr<TrainedOp> make_trained_op(const TrainingContext& context) {
  return at_node(context.node, [&] {
    const OpEntry* entry = find_op(context.node.op);
    if (entry == nullptr || entry->train == nullptr)
      fail(code::kModelIncompatible, "expected an op that can be trained, received '", context.node.op, "'");
    return entry->train(context);
  });
}

}  // namespace qarepvgg
