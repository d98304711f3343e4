// quantizedConv: [x, weight int8, bias int32, weightScale, table?]; kernel, strides, pads, dilations, group as in conv;
// inputScale, inputZeroPoint; outputScale and outputZeroPoint, without which the output is floats; activation, of
// integers only relu. If x is floats, it is an image, which the op quantises itself. table, uint8 [256], is applied to
// the output; tableScale and tableZeroPoint are those of its entries. quantizedConvTranspose: the same, and
// outputPadding as in convTranspose.
#include <algorithm>
#include <type_traits>

#include "ops/integer_depthwise.h"
#include "program/ops/conv_methods.h"
#include "program/ops/narrow_transpose.h"
#include "program/ops/quantized_parts.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// As in program/ops/conv_methods.h.
struct DepthwiseMethod {
  using Plan = IntegerDepthwise;
  static constexpr bool kReadsImage = false;
  static constexpr double kMacs = IntegerNumbers::kDepthwisePieceMacs;
  static Plan plan(const QuantizedNode& node, const MapShape&, const Plan*, std::size_t) {
    return Plan(node.window, node.out, *active_kernels().integer);
  }
  static std::size_t halo(const QuantizedNode& node, const Plan&) { return node.input_halo(); }
  static void pack(const Plan& plan, const QuantizedNode& node, std::byte* packed, int) {
    plan.pack_weights(node.first_weight(), packed);
  }
  static std::size_t scratch_bytes(const Plan&) { return 0; }
  static void run(const Plan& plan, const Operands&, const ByteMap& in, const std::byte* weights, const SumStore* sums,
                  const ByteMap& out, std::byte*, const Tile& items, bool) {
    plan.run_items(in, weights, *sums, out, items);
  }
};

// The direct form has a class of outputs for each residue class of a transposed convolution's strides.
template <class Numbers>
std::size_t classes_of(const Convolution<Numbers>& plan) {
  return plan.classes();
}
template <class Plan>
std::size_t classes_of(const Plan&) {
  return 1;
}

// Packed: weights, then a start and a scale for each lane of each class, then the table.
template <class Method>
class QuantizedConvOp final : public Op {
 public:
  explicit QuantizedConvOp(QuantizedNode node)
      : node_(std::move(node)),
        nominal_(Method::plan(node_, node_.in, nullptr, 1)),
        panels_(nominal_.panels()),
        sums_(classes_of(nominal_), SumStore(node_.from, node_.to, node_.activation)) {}

  Access access(std::size_t input) const override {
    if (input > 0) return Access::kNone;
    return node_.from_image ? Access::kPlain : Access::kMap;
  }
  std::size_t halo(std::size_t input) const override { return input == 0 ? Method::halo(node_, nominal_) : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  bool applies_activation() const override { return node_.activation.any(); }
  bool takes_bytes() const override { return node_.from_image; }
  double macs() const override { return node_.macs(); }
  std::size_t weight_bytes() const override {
    const std::size_t numbers = checked_product({sums_.size(), 2 * lanes(), sizeof(float)});
    return checked_add(checked_add(lanes_offset(), numbers), node_.table ? ByteTable::kBytes : 0);
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = packed;
    Method::pack(nominal_, node_, packed, threads);
    auto* numbers = reinterpret_cast<float*>(packed + lanes_offset());
    for (std::size_t i = 0; i < sums_.size(); ++i, numbers += 2 * lanes())
      sums_[i].pack(weights_of(i), sum_groups(), panels_, nominal_.offset(), reinterpret_cast<std::int32_t*>(numbers),
                    numbers + lanes());
    node_.weights = {};
    if (!node_.table) return;
    auto* table = reinterpret_cast<std::uint8_t*>(numbers);
    std::copy(node_.table->entries.begin(), node_.table->entries.end(), table);
    for (SumStore& sums : sums_) sums.set_table(table, node_.table->to.zero_point());
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<QuantizedConvOp>(*this);
    if (!op->node_.resize(inputs[0].map())) return nullptr;
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    return std::make_unique<ConvStep<Method, QuantizedNode>>(Method::plan(node_, node_.in, &nominal_, members), macs(),
                                                             members, inputs[0], outputs[0], weights_,
                                                             QuantizedNode::Outputs{sums_});
  }

 private:
  // The weights that reach a class of outputs.
  decltype(auto) weights_of(std::size_t number) const {
    const QuantizedWeights& all = node_.weights;
    if constexpr (std::is_same_v<typename Method::Plan, IntegerConvolution>)
      return QuantizedWeights{nominal_.weights_of(number, all.weight), all.bias, all.scale};
    else
      return (all);
  }
  // How many groups of panels there are.
  std::size_t sum_groups() const { return node_.out_c / panels_.channels; }
  std::size_t lanes() const { return checked_mul(sum_groups(), panels_.padded()); }
  std::size_t lanes_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }

  QuantizedNode node_;
  typename Method::Plan nominal_;
  Panels panels_;
  std::vector<SumStore> sums_;
  const std::byte* weights_ = nullptr;
};

bool is_winograd(const QuantizedNode& node, Algorithm algorithm) {
  if (algorithm == Algorithm::kGemm || !node.is_square()) return false;
  const ConvShape shape = node.square(node.in);
  return IntegerWinograd::supports(shape) &&
         (algorithm == Algorithm::kWinograd || IntegerWinograd::pays(shape, *active_kernels().integer)) &&
         is_exact_winograd(shape, node.weights.weight.data());
}

}  // namespace

std::unique_ptr<Op> make_quantized_conv(const OpContext& context) {
  QuantizedNode node = read_quantized_conv(context, false);
  if (node.from_image) return std::make_unique<QuantizedConvOp<StemMethod<QuantizedNode>>>(std::move(node));
  if (IntegerDepthwise::supports(node.in.c, node.out_c, node.groups, node.window))
    return std::make_unique<QuantizedConvOp<DepthwiseMethod>>(std::move(node));
  if (is_winograd(node, context.algorithm))
    return std::make_unique<QuantizedConvOp<WinogradMethod<QuantizedNode>>>(std::move(node));
  return std::make_unique<QuantizedConvOp<DirectMethod<QuantizedNode>>>(std::move(node));
}

std::unique_ptr<Op> make_quantized_conv_transpose(const OpContext& context) {
  QuantizedNode node = read_quantized_conv(context, true);
  if (auto narrow = make_narrow_transpose(node)) return narrow;
  return std::make_unique<QuantizedConvOp<DirectMethod<QuantizedNode>>>(std::move(node));
}

}  // namespace qarepvgg
