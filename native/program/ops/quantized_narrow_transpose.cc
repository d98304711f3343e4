// quantizedConvTranspose (quantized_conv.cc) to few channels of floats.
#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "program/ops/narrow_transpose.h"
#include "program/ops/quantized_parts.h"

namespace qarepvgg {
namespace {

class NarrowIntegerStep final : public NarrowStep {
 public:
  NarrowIntegerStep(IntegerConvolution plan, const QuantizedNode& node, std::size_t members, const ValueType& in,
                    const std::byte* weights, const SumStore& sums)
      : NarrowStep(node, members, in.map(), node.activation),
        plan_(std::move(plan)),
        element_(in.element),
        weights_(weights),
        sums_(sums) {}

 private:
  void multiply(const Operands& at, std::size_t image, std::size_t y, const FeatureMap& blocks) const override {
    const ByteMap x(at.inputs[0], in(), element_), row(x.at(image, signed_size(y), 0), row_of_input(), element_);
    plan_.run_items(row, weights_, &sums_, ByteMap(blocks), {0, plan_.items()});
  }

  IntegerConvolution plan_;
  std::size_t element_;
  const std::byte* weights_;
  SumStore sums_;
};

// Packed: weights, then a start and a scale for each lane.
class NarrowIntegerOp final : public Op {
 public:
  explicit NarrowIntegerOp(QuantizedNode node)
      : node_(std::move(node)),
        plan_(plan_for(node_)),
        sums_(node_.from, std::nullopt, node_.activation.then() != nullptr ? Activation() : node_.activation) {}

  Access access(std::size_t input) const override { return input == 0 ? Access::kMap : Access::kNone; }
  std::vector<ValueType> outputs() const override {
    ValueType type = node_.output();
    type.layout = Layout::kPlain;
    return {type};
  }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  std::size_t weight_bytes() const override {
    return checked_add(lanes_offset(), checked_product({2, plan_.panels().padded(), sizeof(float)}));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = packed;
    // [channel][in][tap] -> [channel and tap][in]
    const std::size_t taps = node_.window.taps(), depth = node_.in.c, blocks = node_.out_c * taps;
    QuantizedWeights matrix{std::vector<std::int8_t>(blocks * depth), std::vector<std::int32_t>(blocks),
                            std::vector<float>(blocks)};
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t c = block / taps;
      for (std::size_t in = 0; in < depth; ++in)
        matrix.weight[block * depth + in] = node_.weights.weight[(c * depth + in) * taps + block % taps];
      matrix.bias[block] = node_.weights.bias[c];
      matrix.scale[block] = node_.weights.scale[c];
    }
    node_.weights = {};
    plan_.pack_weights(matrix.weight.data(), packed, threads);
    auto* numbers = reinterpret_cast<float*>(packed + lanes_offset());
    sums_.pack(matrix, 1, plan_.panels(), plan_.offset(), reinterpret_cast<std::int32_t*>(numbers),
               numbers + plan_.panels().padded());
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return std::make_unique<NarrowIntegerStep>(plan_, node_, members, inputs[0], weights_, sums_);
  }

 private:
  static IntegerConvolution plan_for(const ConvDims& dims) {
    return IntegerConvolution::forward(MapShape{1, dims.in.c, 1, dims.in.w}, dims.out_c * dims.window.taps(), 1,
                                       Window{}, *active_kernels().integer);
  }
  std::size_t lanes_offset() const { return round_up(plan_.weight_bytes(), kAlignment); }

  QuantizedNode node_;
  IntegerConvolution plan_;
  SumStore sums_;
  const std::byte* weights_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_narrow_quantized_transpose(QuantizedNode node) {
  return std::make_unique<NarrowIntegerOp>(std::move(node));
}

}  // namespace qarepvgg
