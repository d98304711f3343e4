// conv: [x, weight, bias?]; kernel, strides, pads [top, left, bottom, right], dilations, group; activation. The
// algorithm depends only on the shape and the instruction set, so that results can be reproduced. convTranspose: the
// same with a weight of [in, out / group, kh, kw], and outputPadding [bottom, right]. It is one convolution for each
// residue class of the strides, so nothing is multiplied by zero.
#include <algorithm>
#include <type_traits>

#include "kernels/dispatch.h"
#include "program/ops/conv_methods.h"
#include "program/ops/conv_parts.h"
#include "program/ops/depthwise_op.h"
#include "program/ops/narrow_transpose.h"
#include "program/ops/separable_op.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

template <class Method>
class ConvOp final : public Op {
 public:
  explicit ConvOp(const ConvNode& node) : node_(node), nominal_(Method::plan(node, node.in, nullptr, 1)) {}

  Access access(std::size_t input) const override {
    if (input > 0) return input == 3 ? Access::kMap : Access::kNone;
    return Method::kReadsImage ? Access::kPlain : Access::kMap;
  }
  std::size_t halo(std::size_t input) const override { return input == 0 ? Method::halo(node_, nominal_) : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override {
    return checked_add(bias_offset(), checked_product({node_.groups, nominal_.panels().padded(), sizeof(float)}));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = reinterpret_cast<float*>(packed + bias_offset());
    Method::pack(nominal_, node_, weights_, threads);
    node_.pack_bias(nominal_.panels(), bias_);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<ConvOp>(*this);
    if (!op->node_.resize(inputs[0].map())) return nullptr;
    return op;
  }
  std::unique_ptr<Op> behind(const Op& front) const override {
    return std::is_same_v<Method, DirectMethod<ConvNode>> ? make_separable(front, node_) : nullptr;
  }
  bool takes_bytes() const override { return Method::kReadsImage && node_.in.n == 1; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = Method::kReadsImage ? node_.in : inputs[0].map();
    return std::make_unique<ConvStep<Method, ConvNode>>(Method::plan(node_, in, &nominal_, members), macs(), members,
                                                        inputs[0], outputs[0], weights_,
                                                        ConvNode::Outputs{node_, bias_, node_.addend_of(inputs)});
  }

 private:
  std::size_t bias_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }

  ConvNode node_;
  typename Method::Plan nominal_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

bool is_winograd(const ConvNode& node, Algorithm algorithm) {
  if (algorithm == Algorithm::kGemm || !node.is_square()) return false;
  const ConvShape shape = node.in_whole_lines(node.in);
  // Not if padding lanes, which are computed, too, would be more than half of the work.
  if (algorithm == Algorithm::kAuto && 2 * node.in.c * node.out_c < shape.in_c * shape.out_c) return false;
  return FloatWinograd::supports(shape) &&
         (algorithm == Algorithm::kWinograd || FloatWinograd::pays(shape, active_kernels()));
}

}  // namespace

std::unique_ptr<Op> make_conv(const OpContext& context) {
  const ConvNode node = read_conv(context);
  const bool from_image =
      context.inputs[0].layout == Layout::kPlain && node.groups == 1 && node.in.c <= kMaxImageChannels;
  if (from_image) return std::make_unique<ConvOp<StemMethod<ConvNode>>>(node);
  if (is_winograd(node, context.algorithm)) return std::make_unique<ConvOp<WinogradMethod<ConvNode>>>(node);
  if (DepthwiseConvolution::supports(node.in.c, node.out_c, node.groups, node.window))
    return std::make_unique<DepthwiseOp>(node);
  return std::make_unique<ConvOp<DirectMethod<ConvNode>>>(node);
}

std::unique_ptr<Op> make_conv_transpose(const OpContext& context) {
  const ConvNode node = read_conv_transpose(context);
  if (auto narrow = make_narrow_transpose(node)) return narrow;
  return std::make_unique<ConvOp<DirectMethod<ConvNode>>>(node);
}

}  // namespace qarepvgg
