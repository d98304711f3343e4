// conv: [x, weight, bias?]; kernel, strides, pads [top, left, bottom, right], dilations, group; activation. The
// algorithm depends only on the shape and the instruction set, so that results can be reproduced.
#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/depthwise.h"
#include "ops/stem_convolution.h"
#include "ops/winograd.h"
#include "program/ops/conv_parts.h"
#include "program/ops/map_step.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// Multiply-adds of a piece, so that pieces take about the right time. Winograd's algorithm computes more of them in
// that time.
constexpr double kPieceMacs = 4e6, kWinogradPieceMacs = 8e6;

// ---- algorithms: each plans a convolution, packs its weights and runs a part of it --------------------------------
// A plan reads the weights that its nominal one has packed.

struct Direct {
  using Plan = TapConvolution;
  static constexpr bool kReadsImage = false;
  static constexpr double kMacs = kPieceMacs;
  static Plan plan(const ConvNode& node, const MapShape& in, const Plan* nominal, std::size_t members) {
    Plan plan = Plan::forward(in, node.out_c, node.groups, node.window, active_kernels());
    if (nominal != nullptr) plan.share(nominal->panels(), members);
    return plan;
  }
  static std::size_t items(const Plan& plan, std::size_t) { return plan.items(); }
  static std::size_t scratch_floats(const Plan&) { return 0; }
  static void pack(const Plan& plan, const ConvNode& node, float* packed, int threads) {
    plan.pack_weights(node.weight, packed, threads);
  }
  static void run(const Plan& plan, const Operands& at, const MapShape& in, const float* weights, const float* bias,
                  const FeatureMap& out, ConvOptions options, float*, const Tile& items, bool) {
    plan.run_items(at.input_map(0, in), weights, bias, out, options, items);
  }
};

struct Winograd {
  using Plan = WinogradConvolution;
  static constexpr bool kReadsImage = false;
  static constexpr double kMacs = kWinogradPieceMacs;
  static Plan plan(const ConvNode& node, const MapShape& in, const Plan* nominal, std::size_t members) {
    const ConvShape shape = node.in_whole_lines(in);
    if (nominal == nullptr)
      return Plan(shape, Plan::choose(shape, active_kernels()), members, active_kernels(), Plan::keeps(shape));
    return Plan(shape, nominal->panels(), members, active_kernels(), nominal->kept());
  }
  static std::size_t items(const Plan& plan, std::size_t) { return plan.items(); }
  static std::size_t scratch_floats(const Plan& plan) { return plan.scratch_floats(); }
  static void pack(const Plan& plan, const ConvNode& node, float* packed, int threads) {
    const ConvShape shape = node.in_whole_lines(node.in);
    const std::size_t from = node.in.c / node.groups * 9, to = shape.in_c / node.groups * 9;
    if (from == to && node.out_c == shape.out_c) return plan.pack_weights(node.weight, packed, threads);
    std::vector<float> weight(checked_mul(shape.out_c, to), 0.0f);
    for (std::size_t out = 0; out < node.out_c; ++out) std::copy_n(node.weight + out * from, from, &weight[out * to]);
    plan.pack_weights(weight.data(), packed, threads);
  }
  static void run(const Plan& plan, const Operands& at, const MapShape& in, const float* weights, const float* bias,
                  const FeatureMap& out, ConvOptions options, float* scratch, const Tile& items, bool first) {
    plan.run_items(at.input_map(0, in), weights, bias, out, options, scratch, items, first);
  }
};

// Reads a row-major image.
struct Stem {
  using Plan = StemConvolution;
  static constexpr bool kReadsImage = true;
  static constexpr double kMacs = kPieceMacs;
  static Plan plan(const ConvNode& node, const MapShape& in, const Plan* nominal, std::size_t) {
    return nominal != nullptr ? Plan(in, node.window, nominal->panels(), active_kernels())
                              : Plan(in, node.out_c, node.window, active_kernels());
  }
  static std::size_t items(const Plan& plan, std::size_t images) { return plan.items() * images; }
  static std::size_t scratch_floats(const Plan& plan) { return plan.scratch_floats(); }
  static void pack(const Plan& plan, const ConvNode& node, float* packed, int) {
    plan.pack_weights(node.weight, packed);
  }
  static void run(const Plan& plan, const Operands& at, const MapShape& in, const float* weights, const float* bias,
                  const FeatureMap& out, ConvOptions options, float* scratch, const Tile& items, bool) {
    const std::size_t end = items.first + items.length;
    for (std::size_t item = items.first; item < end;) {
      const std::size_t n = item / out.shape.h, next = std::min(end, (n + 1) * out.shape.h);
      const FeatureMap image{out.data + n * out.shape.image(), out.shape};
      const FeatureMap& all = options.addend_for(out);
      const FeatureMap addend{all.data + n * all.shape.image(), all.shape};
      ConvOptions own = options;
      own.addend = &addend;
      const Image source = at.image.bytes != nullptr ? at.image : Image{at.input(0) + n * in.c * in.h * in.w};
      plan.run_items(source, weights, bias, image, own, scratch, {item - n * out.shape.h, next - item});
      item = next;
    }
  }
};

template <class Method>
class ConvStep final : public Step {
 public:
  using Plan = typename Method::Plan;

  ConvStep(Plan plan, const ConvNode& node, std::size_t members, const MapShape& in, const MapShape& addend,
           const MapShape& out, const float* weights, const float* bias)
      : Step({Method::items(plan, in.n), members,
              std::max(node.macs() / Method::kMacs, bytes_size(plan.weight_floats() * sizeof(float)))}),
        plan_(std::move(plan)),
        in_(in),
        addend_(addend),
        out_(out),
        weights_(weights),
        bias_(bias),
        node_(node) {}
  std::size_t scratch_bytes() const override { return checked_mul(Method::scratch_floats(plan_), sizeof(float)); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool first) const override {
    Method::run(plan_, at, in_, weights_, bias_, at.output_map(out_), node_.options(node_.addend_at(at, addend_)),
                reinterpret_cast<float*>(scratch), items, first);
  }

  Plan plan_;
  MapShape in_, addend_, out_;
  const float *weights_, *bias_;
  ConvNode node_;
};

template <class Method>
class ConvOp final : public Op {
 public:
  explicit ConvOp(const ConvNode& node) : node_(node), nominal_(Method::plan(node, node.in, nullptr, 1)) {}

  Access access(std::size_t input) const override {
    if (input > 0) return input == 3 ? Access::kMap : Access::kNone;
    return Method::kReadsImage ? Access::kPlain : Access::kMap;
  }
  // All pads count: how many of them the last kernel reaches depends on the size of the image.
  std::size_t halo(std::size_t input) const override {
    return input == 0 && !Method::kReadsImage ? node_.input_halo() : 0;
  }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.applies_activation(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override {
    return checked_mul(checked_add(bias_offset(), nominal_.bias_floats()), sizeof(float));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = weights_ + bias_offset();
    Method::pack(nominal_, node_, weights_, threads);
    std::vector<float> bias(nominal_.bias_floats(), 0.0f);
    if (node_.bias != nullptr) std::copy_n(node_.bias, node_.out_c, bias.data());
    nominal_.pack_bias(bias.data(), bias_);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<ConvOp>(*this);
    op->node_.resize(inputs[0].map());
    return op;
  }
  bool takes_bytes() const override { return Method::kReadsImage && node_.in.n == 1; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = Method::kReadsImage ? node_.in : inputs[0].map();
    return std::make_unique<ConvStep<Method>>(Method::plan(node_, in, &nominal_, members), node_, members, in,
                                              node_.addend_of(inputs), outputs[0].map(), weights_, bias_);
  }

 private:
  std::size_t bias_offset() const { return round_up(nominal_.weight_floats(), kAlignedFloats); }

  ConvNode node_;
  typename Method::Plan nominal_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

class DepthwiseOp final : public Op {
 public:
  explicit DepthwiseOp(const ConvNode& node) : node_(node), plan_(node.window, node.in.c, active_kernels()) {}

  Access access(std::size_t input) const override { return input == 0 || input == 3 ? Access::kMap : Access::kNone; }
  std::size_t halo(std::size_t input) const override { return input == 0 ? node_.input_halo() : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.applies_activation(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override {
    return checked_mul(checked_add(plan_.weight_floats(), plan_.bias_floats()), sizeof(float));
  }
  void pack(std::byte* packed, int) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = weights_ + plan_.weight_floats();
    plan_.pack_weights(node_.weight, weights_);
    plan_.pack_bias(node_.bias, bias_);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<DepthwiseOp>(*this);
    op->node_.resize(inputs[0].map());
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map(), addend = node_.addend_of(inputs), out = outputs[0].map();
    const auto rows = [this, in, addend, out](const Operands& at, std::size_t first, std::size_t end) {
      plan_.run_rows(at.input_map(0, in), weights_, bias_, at.output_map(out),
                     node_.options(node_.addend_at(at, addend)), first, end);
    };
    return make_row_step(out, members, std::nullopt, static_cast<double>(node_.window.taps()) / 4, rows);
  }

 private:
  ConvNode node_;
  DepthwiseConvolution plan_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

bool is_winograd(const ConvNode& node, Algorithm algorithm) {
  if (algorithm == Algorithm::kGemm || !node.is_square()) return false;
  const ConvShape shape = node.in_whole_lines(node.in);
  // Not if padding lanes, which are computed, too, would be more than half of the work.
  if (algorithm == Algorithm::kAuto && 2 * node.in.c * node.out_c < shape.in_c * shape.out_c) return false;
  return WinogradConvolution::supports(shape) &&
         (algorithm == Algorithm::kWinograd || WinogradConvolution::pays(shape));
}

}  // namespace

std::unique_ptr<Op> make_conv(const OpContext& context) {
  const ConvNode node = read_conv(context);
  const bool from_image =
      context.inputs[0].layout == Layout::kPlain && node.groups == 1 && node.in.c <= StemConvolution::kMaxChannels;
  if (from_image) return std::make_unique<ConvOp<Stem>>(node);
  if (is_winograd(node, context.algorithm)) return std::make_unique<ConvOp<Winograd>>(node);
  if (DepthwiseConvolution::supports(node.in.c, node.out_c, node.groups, node.window))
    return std::make_unique<DepthwiseOp>(node);
  return std::make_unique<ConvOp<Direct>>(node);
}

}  // namespace qarepvgg
