// sum: [a, b, ...], at most eight maps with the same dims; activation relu. scale: [x, factor [1]]. For training only:
// graphs for inference have `binary`.
#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "program/ops/table.h"
#include "program/train/trained_op.h"

namespace qarepvgg {
namespace {

class TrainedSum final : public TrainedOp {
 public:
  using TrainedOp::TrainedOp;

  std::size_t first_addend() const override { return 0; }

  void forward(const Run& run) override {
    const FeatureMap* operands[kMaxSummands];
    for (std::size_t i = 0; i < inputs().size(); ++i) operands[i] = &x(i);
    add_maps(operands, inputs().size(), clamp(), y(), active_kernels(), run.team(work()));
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    mask_gradient(team);
    for (std::size_t i = 0; i < inputs().size(); ++i)
      if (grad_x(i).data != grad_y().data)
        scale_map(grad_y(), 1.0f, wiring_.accumulate[i], grad_x(i), active_kernels(), team);
  }
};

class TrainedScale final : public TrainedOp {
 public:
  explicit TrainedScale(const TrainingContext& context)
      : TrainedOp(context, context.map()), factor_(context.tensor(1, {1})) {}

  bool backward_reads_input() const override { return true; }
  std::size_t backward_scratch_floats() const override { return sum_workspace_floats(output()); }

  void forward(const Run& run) override {
    scale_map(x(), run.state[factor_], false, y(), active_kernels(), run.team(work()));
  }

  void backward(const Run& run) override {
    const KernelTable& kernels = active_kernels();
    const int team = run.team(work());
    run.gradients[factor_] += static_cast<float>(dot_maps(grad_y(), x(), wiring_.backward_scratch, kernels, team));
    scale_map(grad_y(), run.state[factor_], wiring_.accumulate[0], grad_x(), kernels, team);
  }

 private:
  StateOffset factor_;
};

}  // namespace

std::unique_ptr<TrainedOp> train_sum(const TrainingContext& context) {
  context.expect_inputs(2, kMaxSummands);
  for (std::size_t i = 1; i < context.inputs.size(); ++i)
    if (!context.map(i).same_dims(context.map()))
      fail(code::kShape, "expected the operands of a sum to have the same dims");
  return std::make_unique<TrainedSum>(context, context.map());
}

std::unique_ptr<TrainedOp> train_scale(const TrainingContext& context) {
  context.expect_inputs(2, 2);
  context.expect_no_activation();
  return std::make_unique<TrainedScale>(context);
}

}  // namespace qarepvgg
