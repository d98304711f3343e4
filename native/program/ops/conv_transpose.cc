// convTranspose: [x, weight [in, out / group, kh, kw], bias?]; the attributes of conv, and outputPadding [bottom,
// right]. It is one convolution for each residue class of the strides, so nothing is multiplied by zero.
#include <algorithm>

#include "kernels/dispatch.h"
#include "program/ops/narrow_transpose.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

class TransposedStep final : public Step {
 public:
  TransposedStep(TapConvolution plan, const ConvNode& node, std::size_t members, const MapShape& in,
                 const MapShape& addend, const MapShape& out, const float* weights, const float* bias)
      : Step({plan.items(), members, node.macs() / kPieceMacs}),
        plan_(std::move(plan)),
        in_(in),
        addend_(addend),
        out_(out),
        weights_(weights),
        bias_(bias),
        node_(node) {}

 private:
  // Multiply-adds of a piece, so that pieces take about the right time.
  static constexpr double kPieceMacs = 4e6;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    plan_.run_items(at.input_map(0, in_), weights_, bias_, at.output_map(out_),
                    node_.options(node_.addend_at(at, addend_)), items);
  }

  TapConvolution plan_;
  MapShape in_, addend_, out_;
  const float *weights_, *bias_;
  ConvNode node_;
};

class ConvTransposeOp final : public Op {
 public:
  explicit ConvTransposeOp(const ConvNode& node) : node_(node), nominal_(plan_for(node.in)) {}

  Access access(std::size_t input) const override { return input == 0 || input == 3 ? Access::kMap : Access::kNone; }
  std::size_t halo(std::size_t input) const override { return input == 0 ? nominal_.halo() : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override { return checked_add(bias_offset(), bias_floats() * sizeof(float)); }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = reinterpret_cast<float*>(packed + bias_offset());
    nominal_.pack_weights(node_.weight, weights_, threads);
    if (node_.bias != nullptr)
      nominal_.panels().spread(node_.bias, node_.groups, bias_);
    else
      std::fill_n(bias_, bias_floats(), 0.0f);
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map();
    TapConvolution plan = plan_for(in);
    plan.share(nominal_.panels(), members);
    return std::make_unique<TransposedStep>(std::move(plan), node_, members, in, node_.addend_of(inputs),
                                            outputs[0].map(), weights_, bias_);
  }

 private:
  TapConvolution plan_for(const MapShape& in) const {
    return TapConvolution::transposed(in, node_.out, node_.groups, node_.window, active_kernels());
  }
  std::size_t bias_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }
  std::size_t bias_floats() const { return checked_mul(node_.groups, nominal_.panels().padded()); }

  ConvNode node_;
  TapConvolution nominal_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

// ---- few output channels ------------------------------------------------------------------------------------------

class NarrowFloatStep final : public NarrowStep {
 public:
  NarrowFloatStep(TapConvolution plan, const ConvNode& node, std::size_t members, const MapShape& in,
                  const float* weights, const float* bias)
      : NarrowStep(node, members, in, node.activation), plan_(std::move(plan)), weights_(weights), bias_(bias) {
    options_.clamp = activation().clamp();
  }

 private:
  void multiply(const Operands& at, std::size_t image, std::size_t y, const FeatureMap& blocks) const override {
    const FeatureMap row{at.input_map(0, in()).at(image, signed_size(y), 0), row_of_input()};
    plan_.run_items(row, weights_, bias_, blocks, options_, {0, plan_.items()});
  }

  TapConvolution plan_;
  const float *weights_, *bias_;
  ConvOptions options_;
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
  static TapConvolution plan_for(const ConvNode& node) {
    return TapConvolution::forward(MapShape{1, node.in.c, 1, node.in.w}, node.out_c * node.window.taps(), 1, Window{},
                                   active_kernels());
  }
  std::size_t bias_offset() const { return round_up(plan_.weight_bytes(), kAlignment); }

  ConvNode node_;
  TapConvolution plan_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_conv_transpose(const OpContext& context) {
  const ConvNode node = read_conv_transpose(context);
  if (!node.has_addend && is_narrow(node)) return std::make_unique<NarrowTransposeOp>(node);
  return std::make_unique<ConvTransposeOp>(node);
}

}  // namespace qarepvgg
