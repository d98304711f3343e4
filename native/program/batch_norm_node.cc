#include "kernels/dispatch.h"
#include "ops/batch_norm.h"
#include "program/node.h"

namespace qarepvgg {
namespace {

class BatchNormNode final : public Node {
 public:
  BatchNormNode(const OpSpec& spec, const MapShape& shape, bool training)
      : Node(spec),
        norm_(shape, active_kernels()),
        elements_(static_cast<double>(shape.elements())),
        training_(training) {}

  std::size_t saved_floats() const override { return norm_.saved_floats(); }
  std::size_t forward_scratch_floats() const override { return norm_.forward_workspace_floats(); }
  std::size_t backward_scratch_floats() const override { return norm_.backward_workspace_floats(); }
  bool backward_reads_input() const override { return true; }
  double work() const override { return elements_; }

  void forward(const Run& run) override {
    const int team = run.team(work());
    if (training_) {
      norm_.measure(x(), spec_.eps,
                    {run.statistics + spec_.running_mean, run.statistics + spec_.running_var,
                     run.statistics + spec_.batches, spec_.momentum},
                    wiring_.saved, wiring_.forward_scratch, team);
    } else {
      norm_.recall(run.state + spec_.running_mean, run.state + spec_.running_var, spec_.eps, wiring_.saved);
    }
    norm_.normalize(x(), weights(run), wiring_.saved, spec_.relu, y(), wiring_.forward_scratch, team);
  }

  void backward(const Run& run) override {
    norm_.backward({grad_y(), spec_.relu ? &y() : nullptr, x(), grad_x(), wiring_.accumulate[0], training_,
                    run.gradients + spec_.weight, run.gradients + spec_.bias},
                   weights(run), wiring_.saved, wiring_.backward_scratch, run.team(work()));
  }

 private:
  BatchNormWeights weights(const Run& run) const {
    return {run.state + spec_.weight, run.state + spec_.bias, spec_.eps};
  }

  BatchNorm norm_;
  double elements_;
  bool training_;
};

}  // namespace

NewNode make_batch_norm_node(const OpSpec& spec, const MapShape& input, bool training) {
  if (training && checked_product({input.n, input.h, input.w}) < 2)
    fail(code::kShape, "expected more than one value per channel when training, received input dims [", input.n, ", ",
         input.c, ", ", input.h, ", ", input.w, "]");
  return {std::make_unique<BatchNormNode>(spec, input, training), input};
}

}  // namespace qarepvgg
