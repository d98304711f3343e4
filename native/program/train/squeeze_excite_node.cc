#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "ops/squeeze_excite.h"
#include "program/train/node.h"

namespace qarepvgg {
namespace {

class SqueezeExciteNode final : public Node {
 public:
  SqueezeExciteNode(const OpSpec& spec, const MapShape& shape)
      : Node(spec), shape_(shape), gate_(shape, spec.reduced, active_kernels()) {}

  std::size_t saved_floats() const override { return gate_.saved_floats(); }
  bool backward_reads_input() const override { return true; }
  bool overwrites_output_gradient() const override { return spec_.activation.any(); }
  double work() const override { return 2 * static_cast<double>(shape_.elements()); }

  void forward(const Run& run) override {
    const SqueezeExciteWeights weights = squeeze_excite_weights(spec_, run.state);
    parallel_for(run.team(work()), shape_.n, [&](std::size_t image) {
      float* saved = wiring_.saved + image * gate_.saved_per_image();
      gate_.measure(x(), image, weights, saved);
      gate_.apply(x(), image, saved, spec_.activation.clamp(), y(), 0, shape_.h);
    });
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    if (spec_.activation.any()) relu_backward(grad_y(), y(), false, grad_y(), active_kernels(), team);
    gate_.backward(grad_y(), x(), squeeze_excite_weights(spec_, run.state), wiring_.saved, wiring_.accumulate[0],
                   grad_x(),
                   {run.gradients + spec_.weight, run.gradients + spec_.bias, run.gradients + spec_.up_weight,
                    run.gradients + spec_.up_bias},
                   team);
  }

 private:
  MapShape shape_;
  SqueezeExcite gate_;
};

}  // namespace

SqueezeExciteWeights squeeze_excite_weights(const OpSpec& spec, const float* state) {
  return {spec.reduced, state + spec.weight, state + spec.bias, state + spec.up_weight, state + spec.up_bias};
}

NewNode make_squeeze_excite_node(const OpSpec& spec, const MapShape& input) {
  return {std::make_unique<SqueezeExciteNode>(spec, input), input};
}

}  // namespace qarepvgg
