// conv: [x, weight, bias?]; kernel, strides, pads [top, left, bottom, right], dilations, group; activation. The
// algorithm depends only on the shape and the instruction set, so that results can be reproduced. convTranspose: the
// same with a weight of [in, out / group, kh, kw], and outputPadding [bottom, right]. It is one convolution for each
// residue class of the strides, so nothing is multiplied by zero. In training: a square kernel of at most 7x7 and the
// same sizes both ways; with `identity`, a 1x1 convolution adds its input to its output.
#include <algorithm>
#include <type_traits>

#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "ops/repacked_convolution.h"
#include "program/ops/conv_methods.h"
#include "program/ops/conv_parts.h"
#include "program/ops/depthwise_op.h"
#include "program/ops/narrow_conv.h"
#include "program/ops/narrow_transpose.h"
#include "program/ops/separable_op.h"
#include "program/ops/table.h"
#include "program/train/trained_op.h"

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
  bool adopt(const Op& packed) override {
    const auto* other = dynamic_cast<const ConvOp*>(&packed);
    if (other == nullptr || other->node_.weight != node_.weight || !node_.same_dims(other->node_)) return false;
    weights_ = other->weights_;
    bias_ = other->bias_;
    node_.pack_bias(nominal_.panels(), bias_);
    return true;
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
  const ConvShape shape = node.winograd_shape(node.in);
  // Not if padding lanes, which are computed, too, would be more than half of the work.
  if (algorithm == Algorithm::kAuto && 2 * node.in.c * node.out_c < shape.in_c * shape.out_c) return false;
  return FloatWinograd::supports(shape) &&
         (algorithm == Algorithm::kWinograd || FloatWinograd::pays(shape, active_kernels()));
}

// Adds ones to the diagonal of a 1x1 convolution, which then adds its input to its output.
void add_identity(const float* weight, const ConvShape& shape, float* sum) {
  const std::size_t depth = shape.in_c / shape.groups;
  std::copy_n(weight, shape.weight_elements(), sum);
  for (std::size_t out = 0; out < shape.out_c; ++out) sum[out * depth + out % depth] += 1.0f;
}

class TrainedConv final : public TrainedOp {
 public:
  TrainedConv(const TrainingContext& context, const ConvShape& shape)
      : TrainedOp(context, shape.output()),
        weight_(context.tensor(1, context.inputs[1].dims())),
        identity_(context.attributes().flag("identity")),
        shape_(shape),
        forward_(shape, false, context.threads, active_kernels()) {
    if (context.is_given(2)) bias_ = context.tensor(2, {shape.out_c});
    if (!context.program.gradients) return;
    data_gradient_.emplace(shape, true, context.threads, active_kernels());
    weight_gradient_.emplace(shape, context.threads, active_kernels());
  }

  std::size_t input_halo() const override { return shape_.padding; }
  std::size_t output_gradient_halo() const override { return FloatConvolution::data_gradient_halo(shape_); }
  bool backward_reads_input() const override { return true; }
  bool may_omit_input_gradient() const override { return true; }
  double work() const override { return shape_.macs() / 8; }

  std::size_t forward_scratch_floats() const override {
    return checked_add(identity_floats(), forward_.scratch_floats());
  }
  std::size_t backward_scratch_floats() const override {
    if (!data_gradient_) return 0;
    return std::max({checked_add(identity_floats(), data_gradient_->scratch_floats()),
                     weight_gradient_->workspace_floats(), sum_workspace_floats(output())});
  }

  void forward(const Run& run) override {
    float* scratch = wiring_.forward_scratch;
    forward_.run(weights(run, scratch), bias_ ? run.state + *bias_ : nullptr, x(), y(), {false, clamp()},
                 scratch + identity_floats(), run.team(work()));
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    float* scratch = wiring_.backward_scratch;
    mask_gradient(team);
    if (bias_) add_channel_sums(grad_y(), scratch, run.gradients + *bias_, active_kernels(), team);
    weight_gradient_->run(x(), grad_y(), scratch, run.gradients + weight_, team);
    if (grad_x().data == nullptr) return;
    data_gradient_->run(weights(run, scratch), nullptr, grad_y(), grad_x(), {wiring_.accumulate[0]},
                        scratch + identity_floats(), team);
  }

 private:
  std::size_t identity_floats() const { return identity_ ? round_up(shape_.weight_elements(), kAlignedFloats) : 0; }
  const float* weights(const Run& run, float* scratch) const {
    const float* stored = run.state + weight_;
    if (!identity_) return stored;
    add_identity(stored, shape_, scratch);
    return scratch;
  }

  StateOffset weight_;
  std::optional<StateOffset> bias_;
  bool identity_;
  ConvShape shape_;
  RepackedConvolution forward_;
  std::optional<RepackedConvolution> data_gradient_;
  std::optional<ConvolutionWeightGradient> weight_gradient_;
};

// The data gradient has a class of pixels for each residue of the stride, both ways.
constexpr std::size_t kMaxTrainedStride = 128;

}  // namespace

std::unique_ptr<Op> make_conv(const OpContext& context) {
  const ConvNode node = read_conv(context, false);
  const bool from_image =
      context.inputs[0].layout == Layout::kPlain && node.groups == 1 && node.in.c <= kMaxImageChannels;
  const bool winograd = is_winograd(node, context.algorithm);
  if (auto narrow = winograd ? nullptr : make_narrow_conv(node, from_image)) return narrow;
  if (from_image) return std::make_unique<ConvOp<StemMethod<ConvNode>>>(node);
  if (winograd) return std::make_unique<ConvOp<WinogradMethod<ConvNode>>>(node);
  if (DepthwiseConvolution::supports(node.in.c, node.out_c, node.groups, node.window))
    return std::make_unique<DepthwiseOp>(node);
  return std::make_unique<ConvOp<DirectMethod<ConvNode>>>(node);
}

std::unique_ptr<TrainedOp> train_conv(const TrainingContext& context) {
  context.expect_inputs(2, 3);
  const ConvDims dims = read_conv_dims(context, context.map(), false);
  if (!dims.is_square() || dims.window.y.stride > kMaxTrainedStride)
    fail(code::kInvalidArg, "expected a square kernel of at most ", ConvShape::kMaxKernel, " x ", ConvShape::kMaxKernel,
         ", and strides up to ", kMaxTrainedStride, ", pads and dilations that are the same for both sides");
  const ConvShape shape = dims.square(dims.in);
  if (context.attributes().flag("identity") &&
      (shape.kernel != 1 || shape.stride != 1 || shape.padding != 0 || shape.in_c != shape.out_c))
    fail(code::kInvalidArg, "expected identity on a 1x1 convolution of stride 1 that keeps the number of channels");
  return std::make_unique<TrainedConv>(context, shape);
}

std::unique_ptr<Op> make_conv_transpose(const OpContext& context) {
  const ConvNode node = read_conv(context, true);
  if (auto narrow = make_narrow_transpose(node)) return narrow;
  return std::make_unique<ConvOp<DirectMethod<ConvNode>>>(node);
}

}  // namespace qarepvgg
