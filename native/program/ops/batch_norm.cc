// batchNorm: [x, weight, bias, mean, variance, batches, addend?], tensors of [c], batches of one number; epsilon,
// momentum; activation relu, but not with an addend. For training only: graphs for inference have it folded.
#include "ops/batch_norm.h"

#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "program/ops/table.h"
#include "program/train/trained_op.h"

namespace qarepvgg {
namespace {

// Consecutive batch norms share passes: the first measures its output for the second, and in backward the second sums
// gradients for the first.
class TrainedBatchNorm final : public TrainedOp {
 public:
  TrainedBatchNorm(const TrainingContext& context, const MapShape& shape)
      : TrainedOp(context, shape),
        norm_(shape, active_kernels()),
        channels_(shape.c),
        weight_(context.tensor(1, {shape.c})),
        bias_(context.tensor(2, {shape.c})),
        mean_(context.tensor(3, {shape.c})),
        variance_(context.tensor(4, {shape.c})),
        batches_(context.tensor(5, {1})),
        epsilon_(context.attributes().number("epsilon")),
        momentum_(context.attributes().number("momentum")),
        training_(context.program.training) {}

  std::size_t first_addend() const override { return 1; }
  bool overwrites_addend() const override { return has_addend(); }
  std::vector<StateRange> statistics() const override {
    return {{mean_, channels_}, {variance_, channels_}, {batches_, 1}};
  }
  std::size_t saved_floats() const override { return norm_.saved_floats(); }
  std::size_t backward_scratch_floats() const override { return norm_.backward_workspace_floats(); }
  bool backward_reads_input() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool overwrites_output_gradient() const override { return false; }
  bool backward_in_place() const override { return !has_addend(); }

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
      float* running = run.statistics;
      norm_.settle(epsilon_, {running + mean_, running + variance_, running + batches_, momentum_}, wiring_.saved,
                   team);
    } else {
      norm_.recall(run.state + mean_, run.state + variance_, epsilon_, wiring_.saved);
    }
    norm_.normalize({x(), has_addend() ? &x(1) : nullptr, y(), clamp()}, {run.state + weight_, run.state + bias_},
                    wiring_.saved, wiring_.output_pass, team);
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    if (!is_summed_) norm_.sum(grad_y(), x(), has_relu(), wiring_.saved, team);
    norm_.backward({grad_y(), x(), grad_x(), has_relu(), wiring_.accumulate[0], training_, run.gradients + weight_,
                    run.gradients + bias_},
                   wiring_.saved, wiring_.backward_scratch, wiring_.gradient_pass, team);
    if (has_addend() && grad_x(1).data != grad_y().data)
      scale_map(grad_y(), 1.0f, wiring_.accumulate[1], grad_x(1), active_kernels(), team);
  }

 private:
  bool has_addend() const { return inputs().size() > 1; }

  BatchNorm norm_;
  std::size_t channels_;
  StateOffset weight_, bias_, mean_, variance_, batches_;
  double epsilon_, momentum_;
  bool training_;
  bool is_measured_ = false, is_summed_ = false;  // by a neighbour
};

}  // namespace

std::unique_ptr<TrainedOp> train_batch_norm(const TrainingContext& context) {
  context.expect_inputs(6, 7);
  const MapShape shape = context.map();
  if (context.program.training && checked_product({shape.n, shape.h, shape.w}) < 2)
    fail(code::kShape, "expected more than one value per channel when training, received input dims ",
         text_of(context.inputs[0].dims()));
  if (context.is_given(6)) {
    if (!context.map(6).same_dims(shape)) fail(code::kShape, "expected the addend of a batch norm to have its dims");
    if (context.has_relu()) fail(code::kInvalidArg, "expected no activation on a batch norm with an addend");
  }
  return std::make_unique<TrainedBatchNorm>(context, shape);
}

}  // namespace qarepvgg
