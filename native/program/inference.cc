#include "program/inference.h"

#include <algorithm>

#include "base/threads.h"
#include "program/inference_plan.h"

namespace qarepvgg {
namespace {

// Plans own memory in proportion to the input, so few are kept; a server meets few input sizes.
constexpr std::size_t kMaxPlans = 4;
// More images than this no longer help the reuse of weights.
constexpr std::size_t kMaxTogether = 8;

}  // namespace

InferenceProgram::InferenceProgram(const ProgramSpec& spec, const float* state, Algorithm algorithm, double min_macs)
    : input_{1, spec.c, spec.h, spec.w},
      threads_(spec.threads > 0 ? spec.threads : thread_budget().count),
      together_(std::clamp<std::size_t>(spec.n, 1, kMaxTogether)),
      min_macs_(min_macs) {
  check_chain(spec);
  MapShape shape = input_;
  std::size_t next = stem_ops(spec);  // first op without a layer
  takes_bytes_ = next > 0;
  layers_.push_back(takes_bytes_ ? make_stem_layer(spec, next, shape) : make_import_layer());
  for (std::size_t i = 0; i < next; ++i) check_state(spec, spec.ops[i], shape);
  shape = layers_.back()->output(shape);
  for (; next < spec.ops.size(); ++next) {
    layers_.push_back(make_inference_layer(spec.ops[next], shape, algorithm));
    check_state(spec, spec.ops[next], shape);
    shape = layers_.back()->output(shape);
  }

  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
  for (const auto& layer : layers_) {
    offsets.push_back(bytes);
    bytes = checked_add(bytes, round_up(layer->weight_bytes(), kAlignment));
  }
  weights_ = AlignedBuffer(bytes / sizeof(float));
  auto* memory = reinterpret_cast<std::byte*>(weights_.data());
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i]->pack(state, memory + offsets[i], threads_);
  plan_for({input_.h, input_.w});
}

InferenceProgram::~InferenceProgram() = default;

MapShape InferenceProgram::output_shape(ImageSize size) const {
  if (size.h == 0 || size.w == 0)
    fail(code::kShape, "expected images of at least one pixel, received ", size.h, " x ", size.w);
  MapShape shape{1, input_.c, size.h, size.w};
  for (const auto& layer : layers_) shape = layer->output(shape);
  return shape;
}

std::size_t InferenceProgram::memory_bytes() const { return weights_.bytes() + plan_bytes_; }

InferencePlan& InferenceProgram::plan_for(ImageSize size) {
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const auto& plan) { return plan->size() == size; });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
  } else {
    output_shape(size);  // throws for sizes that do not fit
    const MapShape input{1, input_.c, size.h, size.w};
    plans_.push_back(std::make_unique<InferencePlan>(layers_, input, together_, threads_, min_macs_));
    if (plans_.size() > kMaxPlans) plans_.erase(plans_.begin());
    std::size_t bytes = 0;
    for (const auto& plan : plans_) bytes += plan->memory_bytes();
    plan_bytes_ = bytes;
  }
  return *plans_.back();
}

void InferenceProgram::run(ImageSize size, const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop) {
  plan_for(size).run(tasks, count, stop);
}

}  // namespace qarepvgg
