#include "kernels/dispatch.h"
#include "ops/batch_norm.h"
#include "ops/elementwise.h"
#include "program/train/node.h"

namespace qarepvgg {
namespace {

// Consecutive batch norms share passes: the first measures its output for the second, and in backward the second sums
// gradients for the first.
class BatchNormNode final : public Node {
 public:
  BatchNormNode(const OpSpec& spec, const MapShape& shape, bool training)
      : Node(spec),
        norm_(shape, active_kernels()),
        elements_(static_cast<double>(shape.elements())),
        training_(training) {}

  std::size_t saved_floats() const override { return norm_.saved_floats(); }
  std::size_t backward_scratch_floats() const override { return norm_.backward_workspace_floats(); }
  bool backward_reads_input() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool backward_in_place() const override { return !has_addend(); }
  double work() const override { return elements_; }

  ChunkTask hand_over_input_pass() override {
    if (!training_) return {};
    is_measured_ = true;
    return [this](std::size_t chunk) { norm_.measure_chunk(x(), chunk, wiring_.saved); };
  }
  ChunkTask hand_over_gradient_pass() override {
    is_summed_ = true;
    return [this](std::size_t chunk) { norm_.sum_chunk(grad_y(), x(), has_relu(), chunk, wiring_.saved); };
  }
  bool makes_output_pass() const override { return true; }
  bool makes_gradient_pass() const override { return true; }

  void forward(const Run& run) override {
    const int team = run.team(work());
    if (training_) {
      if (!is_measured_) norm_.measure(x(), wiring_.saved, team);
      norm_.settle(spec_.eps,
                   {run.statistics + spec_.running_mean, run.statistics + spec_.running_var,
                    run.statistics + spec_.batches, spec_.momentum},
                   wiring_.saved, team);
    } else {
      norm_.recall(run.state + spec_.running_mean, run.state + spec_.running_var, spec_.eps, wiring_.saved);
    }
    norm_.normalize({x(), has_addend() ? &x(1) : nullptr, y(), spec_.activation.clamp()},
                    {run.state + spec_.weight, run.state + spec_.bias}, wiring_.saved, wiring_.output_pass, team);
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    if (!is_summed_) norm_.sum(grad_y(), x(), has_relu(), wiring_.saved, team);
    norm_.backward({grad_y(), x(), grad_x(), has_relu(), wiring_.accumulate[0], training_, run.gradients + spec_.weight,
                    run.gradients + spec_.bias},
                   wiring_.saved, wiring_.backward_scratch, wiring_.gradient_pass, team);
    if (has_addend() && grad_x(1).data != grad_y().data)
      scale_map(grad_y(), 1.0f, wiring_.accumulate[1], grad_x(1), active_kernels(), team);
  }

 private:
  bool has_relu() const { return spec_.activation.any(); }
  bool has_addend() const { return spec_.inputs.size() > 1; }

  BatchNorm norm_;
  double elements_;
  bool training_;
  bool is_measured_ = false, is_summed_ = false;  // by a neighbour
};

}  // namespace

NewNode make_batch_norm_node(const OpSpec& spec, const std::vector<MapShape>& inputs, bool training) {
  const MapShape& input = inputs.front();
  if (training && checked_product({input.n, input.h, input.w}) < 2)
    fail(code::kShape, "expected more than one value per channel when training, received input dims [", input.n, ", ",
         input.c, ", ", input.h, ", ", input.w, "]");
  if (!inputs.back().same_dims(input)) fail(code::kShape, "expected the addend of a batch norm to have its dims");
  if (inputs.size() > 1 && spec.activation.any())
    fail(code::kInvalidArg, "expected no activation on a batch norm with an addend");
  return {std::make_unique<BatchNormNode>(spec, input, training), input};
}

}  // namespace qarepvgg
