#include "program/infer/graph_program.h"

#include <algorithm>

#include "base/threads.h"
#include "program/infer/early_weights.h"

namespace qarepvgg {
namespace {

// Plans own memory in proportion to the input, so only a few are kept. A server meets few input sizes.
constexpr std::size_t kMaxPlans = 4;
// More images than this do not improve the reuse of weights.
constexpr std::size_t kMaxTogether = 8;

}  // namespace

GraphProgram::GraphProgram(const GraphSpec& spec, double min_macs)
    : inputs_(spec.inputs),
      independent_(spec.independent),
      limits_{spec.independent ? std::clamp<std::size_t>(spec.together, 1, kMaxTogether) : 1,
              spec.threads > 0 ? spec.threads : thread_budget().count, min_macs},
      layout_(make_layout(spec, limits_.threads)),
      weight_bytes_(layout_.weights.bytes() + (layout_.early ? layout_.early->bytes() : 0)) {
  outputs_ = outputs(input_dims());
  plan_for(input_dims());
}

std::vector<Dims> GraphProgram::input_dims() const {
  std::vector<Dims> dims;
  for (const TensorType& type : inputs_) dims.push_back(type.dims);
  return dims;
}

std::vector<TensorType> GraphProgram::outputs(const std::vector<Dims>& inputs) const {
  const Resized resized = resize(layout_, inputs);
  std::vector<TensorType> types;
  for (BufferId id : layout_.outputs) types.push_back(resized.types[id].tensor);
  return types;
}

bool GraphProgram::takes_bytes() const {
  bool is_read = false;
  for (const StageLayout& stage : layout_.stages)
    for (BufferId id : stage.inputs)
      if (id != kNoBuffer && layout_.buffers[id].home == Buffer::Home::kInput && layout_.buffers[id].index == 0) {
        if (stage.job != StageLayout::Job::kOp || !layout_.ops[stage.op]->takes_bytes()) return false;
        is_read = true;
      }
  return is_read;
}

GraphPlan& GraphProgram::plan_for(const std::vector<Dims>& inputs) {
  const auto found =
      std::find_if(plans_.begin(), plans_.end(), [&](const auto& plan) { return plan->dims() == inputs; });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
  } else {
    plans_.push_back(std::make_unique<GraphPlan>(layout_, inputs, limits_));
    if (plans_.size() > kMaxPlans) plans_.erase(plans_.begin());
  }
  std::size_t bytes = 0;
  for (const auto& plan : plans_) bytes += plan->memory_bytes();
  plan_bytes_ = bytes;
  return *plans_.back();
}

void GraphProgram::run(const std::vector<Dims>& inputs, const GraphTask* tasks, std::size_t count,
                       const std::atomic<bool>& stop) {
  GraphPlan& plan = plan_for(inputs);
  const std::size_t before = plan.memory_bytes();
  plan.run(tasks, count, stop);
  plan_bytes_ += plan.memory_bytes() - before;
}

}  // namespace qarepvgg
