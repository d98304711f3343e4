// convTranspose with few output channels, whose kernels do not overlap.
#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "program/ops/narrow_transpose.h"

namespace qarepvgg {
namespace {

class NarrowFloatStep final : public NarrowStep {
 public:
  NarrowFloatStep(FloatConvolution plan, const ConvNode& node, std::size_t members, const MapShape& in,
                  const float* weights, const float* bias)
      : NarrowStep(node, members, in, node.activation), plan_(std::move(plan)), weights_(weights), bias_(bias) {}

 private:
  void multiply(const Operands& at, std::size_t image, std::size_t y, const FeatureMap& blocks) const override {
    const FeatureMap row{at.input_map(0, in()).at(image, signed_size(y), 0), row_of_input()};
    FloatOutput output{bias_, {}};
    output.options.clamp = activation().clamp();
    plan_.run_items(row, weights_, &output, blocks, {0, plan_.items()});
  }

  FloatConvolution plan_;
  const float *weights_, *bias_;
};

class NarrowTransposeOp final : public Op {
 public:
  explicit NarrowTransposeOp(const ConvNode& node) : node_(node), plan_(plan_for(node)) {}

  Access access(std::size_t input) const override { return input == 0 ? Access::kMap : Access::kNone; }
  std::vector<ValueType> outputs() const override {
    ValueType type = node_.output();
    type.layout = Layout::kPlain;
    return {type};
  }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  std::size_t weight_bytes() const override {
    return checked_add(bias_offset(), plan_.panels().padded() * sizeof(float));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = reinterpret_cast<float*>(packed + bias_offset());
    // [in][channel and tap] -> [channel and tap][in]
    const std::size_t taps = node_.window.taps(), blocks = node_.out_c * taps;
    std::vector<float> matrix(blocks * node_.in.c), bias(blocks, 0.0f);
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i % blocks * node_.in.c + i / blocks] = node_.weight[i];
    for (std::size_t i = 0; node_.bias != nullptr && i < blocks; ++i) bias[i] = node_.bias[i / taps];
    plan_.pack_weights(matrix.data(), weights_, threads);
    plan_.panels().spread(bias.data(), 1, bias_);
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return std::make_unique<NarrowFloatStep>(plan_, node_, members, inputs[0].map(), weights_, bias_);
  }

 private:
  static FloatConvolution plan_for(const ConvNode& node) {
    return FloatConvolution::forward(MapShape{1, node.in.c, 1, node.in.w}, node.out_c * node.window.taps(), 1, Window{},
                                     active_kernels());
  }
  std::size_t bias_offset() const { return round_up(plan_.weight_bytes(), kAlignment); }

  ConvNode node_;
  FloatConvolution plan_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_narrow_transpose(const ConvNode& node) {
  return !node.has_addend && is_narrow(node) ? std::make_unique<NarrowTransposeOp>(node) : nullptr;
}

}  // namespace qarepvgg
