#include <algorithm>
#include <optional>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/elementwise.h"
#include "program/node.h"

namespace qarepvgg {
namespace {

ConvShape conv_shape(const OpSpec& spec, const MapShape& input) {
  const ConvShape shape{input.n,     input.c,      input.h,       input.w,      spec.out_channels,
                        spec.kernel, spec.stride, spec.padding, spec.dilation, spec.groups};
  shape.validate();
  return shape;
}

class ConvNode final : public Node {
 public:
  ConvNode(const OpSpec& spec, const ConvShape& shape, bool gradients)
      : Node(spec), shape_(shape), forward_(TapConvolution::forward(shape, active_kernels())) {
    if (!gradients) return;
    data_gradient_.emplace(TapConvolution::data_gradient(shape, active_kernels()));
    weight_gradient_.emplace(shape, active_kernels());
  }

  std::size_t input_halo() const override { return shape_.padding; }
  std::size_t output_gradient_halo() const override { return TapConvolution::data_gradient_halo(shape_); }
  bool backward_reads_input() const override { return true; }
  bool overwrites_output_gradient() const override { return spec_.relu; }
  double work() const override { return shape_.macs() / 8; }

  std::size_t forward_scratch_floats() const override {
    return checked_add(round_up(forward_.weight_floats(), kAlignedFloats), forward_.bias_floats());
  }
  std::size_t backward_scratch_floats() const override {
    if (!data_gradient_) return 0;
    const MapShape output{shape_.n, shape_.out_c, shape_.out_h(), shape_.out_w()};
    return std::max({data_gradient_->weight_floats(), weight_gradient_->workspace_floats(),
                     sum_workspace_floats(output)});
  }

  void forward(const Run& run) override {
    const int team = run.team(work());
    float* weights = wiring_.forward_scratch;
    float* bias = nullptr;
    forward_.pack_weights(run.state + spec_.weight, weights, team);
    if (spec_.bias != kNoTensor) {
      bias = weights + round_up(forward_.weight_floats(), kAlignedFloats);
      forward_.pack_bias(run.state + spec_.bias, bias);
    }
    forward_.run(x(), weights, bias, y(), {false, spec_.relu}, team);
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    float* scratch = wiring_.backward_scratch;
    const KernelTable& kernels = active_kernels();
    if (spec_.relu) relu_backward(grad_y(), y(), false, grad_y(), kernels, team);
    if (spec_.bias != kNoTensor)
      add_channel_sums(grad_y(), scratch, run.gradients + spec_.bias, kernels, team);
    weight_gradient_->run(x(), grad_y(), scratch, run.gradients + spec_.weight, team);
    data_gradient_->pack_weights(run.state + spec_.weight, scratch, team);
    data_gradient_->run(grad_y(), scratch, nullptr, grad_x(), {wiring_.accumulate[0], false}, team);
  }

 private:
  ConvShape shape_;
  TapConvolution forward_;
  std::optional<TapConvolution> data_gradient_;
  std::optional<WeightGradient> weight_gradient_;
};

}  // namespace

NewNode make_conv_node(const OpSpec& spec, const MapShape& input, bool gradients) {
  const ConvShape shape = conv_shape(spec, input);
  return {std::make_unique<ConvNode>(spec, shape, gradients),
          MapShape{shape.n, shape.out_c, shape.out_h(), shape.out_w()}};
}

}  // namespace qarepvgg
