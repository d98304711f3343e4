#include "program/ops/separable_op.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "program/ops/depthwise_op.h"

namespace qarepvgg {
namespace {

// Rows between the two convolutions. They stay in the first-level cache, or in the second-level one if so many do not
// fit: depthwise kernels compute up to four rows at a time.
constexpr std::size_t kStripBytes = 24 * 1024, kLeastRows = 4;

// The map that begins at a row of an image.
FeatureMap from_row(const FeatureMap& map, std::size_t image, std::size_t y) {
  return {map.data + image * map.shape.image() + y * map.shape.row(), map.shape};
}

// An item is a row of the output.
class SeparableStep final : public Step {
 public:
  SeparableStep(const DepthwiseOp& front, FloatConvolution plan, const ConvNode& node, std::size_t members,
                const MapShape& in, const MapShape& addend, const MapShape& out, const float* weights,
                const float* bias)
      : Step({out.n * out.h, members,
              std::max((front.macs() + node.macs()) / FloatNumbers::kPieceMacs, map_size(in) + map_size(out))}),
        front_(&front),
        plan_(std::move(plan)),
        node_(node),
        in_(in),
        addend_(addend),
        out_(out),
        weights_(weights),
        bias_(bias) {
    strip_ = {1, node.in.c, 1, node.in.w};
    strip_.h = std::min(out.h, std::max(kStripBytes / (strip_.floats() * sizeof(float)), kLeastRows));
  }
  std::size_t scratch_bytes() const override { return strip_.floats() * sizeof(float); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const FeatureMap in = at.input_map(0, in_), out = at.output_map(out_), addend = node_.addend_at(at, addend_);
    const FeatureMap strip{reinterpret_cast<float*>(scratch), strip_};
    const std::size_t stride = front_->node().window.y.stride;
    for (std::size_t line = items.first, end = items.first + items.length; line < end;) {
      const std::size_t image = line / out_.h, y = line % out_.h;
      const std::size_t rows = std::min({strip_.h, out_.h - y, end - line});
      front_->run_rows(from_row(in, image, y * stride), {}, strip, 0, rows);
      const FeatureMap added = node_.has_addend ? from_row(addend, image, y) : addend;
      plan_.run_rows(strip, weights_, {bias_, node_.options(added)}, from_row(out, image, y), {0, rows});
      line += rows;
    }
  }

  const DepthwiseOp* front_;
  FloatConvolution plan_;
  ConvNode node_;
  MapShape in_, addend_, out_, strip_;
  const float *weights_, *bias_;
};

class SeparableOp final : public Op {
 public:
  SeparableOp(const DepthwiseOp& front, const ConvNode& node) : front_(&front), node_(node), nominal_(plan_for(node)) {}

  Access access(std::size_t input) const override { return input == 0 || input == 3 ? Access::kMap : Access::kNone; }
  std::size_t halo(std::size_t input) const override { return input == 0 ? front_->halo(0) : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return front_->macs() + node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  // Rows of the first operand are read more than once, so the output may only overwrite another one.
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override {
    return checked_add(bias_offset(), checked_mul(nominal_.panels().padded(), sizeof(float)));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = reinterpret_cast<float*>(packed + bias_offset());
    nominal_.pack_weights(node_.weight, weights_, threads);
    node_.pack_bias(nominal_.panels(), bias_);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<SeparableOp>(*this);
    op->own_front_ = std::make_shared<const DepthwiseOp>(front_->for_input(inputs[0].map()));
    op->front_ = op->own_front_.get();
    op->node_.resize(op->front_->node().out);
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    FloatConvolution plan = plan_for(node_);
    plan.share(nominal_.panels(), 1);
    return std::make_unique<SeparableStep>(*front_, std::move(plan), node_, members, inputs[0].map(),
                                           node_.addend_of(inputs), outputs[0].map(), weights_, bias_);
  }

 private:
  static FloatConvolution plan_for(const ConvNode& node) {
    const MapShape image{1, node.in.c, node.in.h, node.in.w};
    return FloatConvolution::forward(image, node.out_c, node.groups, node.window, active_kernels());
  }
  std::size_t bias_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }

  const DepthwiseOp* front_;
  std::shared_ptr<const DepthwiseOp> own_front_;  // null unless it was made for this op
  ConvNode node_;
  FloatConvolution nominal_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_separable(const Op& front, const ConvNode& node) {
  const auto* depthwise = dynamic_cast<const DepthwiseOp*>(&front);
  if (depthwise == nullptr || depthwise->node().has_addend || node.groups != 1 || !node.window.is_pointwise())
    return nullptr;
  if (depthwise->is_line()) return nullptr;
  auto op = std::make_unique<SeparableOp>(*depthwise, node);
  // Every strip of rows reads all weights.
  return op->weight_bytes() <= FloatNumbers::kFewBytes ? std::move(op) : nullptr;
}

}  // namespace qarepvgg
