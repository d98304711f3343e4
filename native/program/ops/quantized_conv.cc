// quantizedConv: [x, weight int8, bias int32, weightScale, table?]; kernel, strides, pads, dilations, group as in conv;
// inputScale, inputZeroPoint; outputScale and outputZeroPoint, without which the output is floats; activation, of
// integers only relu. If x is floats, it is an image, which the op quantises itself. table, uint8 [256], is applied to
// the output; tableScale and tableZeroPoint are those of its entries. quantizedConvTranspose: the same, and
// outputPadding as in convTranspose.
#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/integer_convolution.h"
#include "ops/integer_depthwise.h"
#include "ops/integer_stem.h"
#include "ops/integer_winograd.h"
#include "program/ops/quantized_parts.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

const IntegerKernels& kernels() { return *active_kernels().integer; }

// ---- algorithms: each plans a convolution, packs its weights and runs a part of it --------------------------------

// Multiply-adds of a piece, so that pieces take about the right time.
constexpr double kPieceMacs = 16e6, kWinogradPieceMacs = 20e6;

struct Direct {
  using Plan = IntegerConvolution;
  static constexpr double kMacs = kPieceMacs;
  static Plan plan(const QuantizedNode& node, const Panels* panels, std::size_t members) {
    const ConvDims& dims = node.dims;
    Plan plan = node.transposed ? Plan::transposed(dims.in, dims.out, dims.groups, dims.window, kernels())
                                : Plan::forward(dims.in, dims.out_c, dims.groups, dims.window, kernels());
    if (panels != nullptr) plan.share(*panels, members);
    return plan;
  }
  static std::size_t halo(const QuantizedNode& node, const Plan& plan) {
    return node.transposed ? plan.halo() : node.dims.input_halo();
  }
  static std::size_t classes(const Plan& plan) { return plan.classes(); }
  static QuantizedWeights weights_of(const Plan& plan, std::size_t number, const QuantizedWeights& all) {
    return {plan.weights_of(number, all.weight), all.bias, all.scale};
  }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int threads) {
    plan.pack_weights(weight, packed, threads);
  }
  static std::size_t scratch_bytes(const Plan&) { return 0; }
  static void run(const Plan& plan, const Operands&, const ByteMap& in, const std::byte* weights, const SumStore* sums,
                  const ByteMap& out, std::byte*, const Tile& items, bool) {
    plan.run_items(in, weights, sums, out, items);
  }
};

// Algorithms with one class of outputs.
struct Whole {
  template <class Plan>
  static std::size_t classes(const Plan&) {
    return 1;
  }
  template <class Plan>
  static const QuantizedWeights& weights_of(const Plan&, std::size_t, const QuantizedWeights& all) {
    return all;
  }
};

struct Winograd : Whole {
  using Plan = IntegerWinograd;
  static constexpr double kMacs = kWinogradPieceMacs;
  static Plan plan(const QuantizedNode& node, const Panels* panels, std::size_t members) {
    const ConvShape shape = node.dims.square(node.dims.in);
    return Plan(shape, panels != nullptr ? *panels : Plan::choose(shape, kernels()), members, kernels());
  }
  static std::size_t halo(const QuantizedNode&, const Plan&) { return 1; }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int threads) {
    plan.pack_weights(weight, packed, threads);
  }
  static std::size_t scratch_bytes(const Plan& plan) { return plan.scratch_bytes(); }
  static void run(const Plan& plan, const Operands&, const ByteMap& in, const std::byte* weights, const SumStore* sums,
                  const ByteMap& out, std::byte* scratch, const Tile& items, bool first) {
    plan.run_items(in, weights, *sums, out, scratch, items, first);
  }
};

struct Depthwise : Whole {
  using Plan = IntegerDepthwise;
  static constexpr double kMacs = kPieceMacs / 8;
  static Plan plan(const QuantizedNode& node, const Panels*, std::size_t) {
    return Plan(node.dims.window, node.dims.out, kernels());
  }
  static std::size_t halo(const QuantizedNode& node, const Plan&) { return node.dims.input_halo(); }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int) {
    plan.pack_weights(weight, packed);
  }
  static std::size_t scratch_bytes(const Plan&) { return 0; }
  static void run(const Plan& plan, const Operands&, const ByteMap& in, const std::byte* weights, const SumStore* sums,
                  const ByteMap& out, std::byte*, const Tile& items, bool) {
    plan.run_items(in, weights, *sums, out, items);
  }
};

// Reads a row-major image of floats or bytes.
struct Stem : Whole {
  using Plan = IntegerStem;
  static constexpr double kMacs = kPieceMacs / 2;
  static Plan plan(const QuantizedNode& node, const Panels* panels, std::size_t) {
    const ConvDims& dims = node.dims;
    return panels != nullptr ? Plan(dims.in, dims.window, *panels, node.from, kernels())
                             : Plan(dims.in, dims.out_c, dims.window, node.from, kernels());
  }
  static std::size_t halo(const QuantizedNode&, const Plan&) { return 0; }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int) {
    plan.pack_weights(weight, packed);
  }
  static std::size_t scratch_bytes(const Plan& plan) { return plan.scratch_bytes(); }
  static void run(const Plan& plan, const Operands& at, const ByteMap&, const std::byte* weights, const SumStore* sums,
                  const ByteMap& out, std::byte* scratch, const Tile& items, bool first) {
    plan.run_items(at.image.bytes != nullptr ? at.image : Image{at.input(0)}, weights, *sums, out, scratch, items,
                   first);
  }
};

template <class Method>
class QuantizedConvStep final : public Step {
 public:
  using Plan = typename Method::Plan;

  QuantizedConvStep(Plan plan, double macs, std::size_t members, const ValueType& in, const ValueType& out,
                    const std::byte* weights, std::vector<SumStore> sums)
      : Step({plan.items(), members, std::max(macs / Method::kMacs, bytes_size(plan.weight_bytes()))}),
        plan_(std::move(plan)),
        in_(in.map()),
        out_(out.map()),
        in_element_(in.element),
        out_element_(out.element),
        weights_(weights),
        sums_(std::move(sums)) {}
  std::size_t scratch_bytes() const override { return Method::scratch_bytes(plan_); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool first) const override {
    Method::run(plan_, at, ByteMap(at.inputs[0], in_, in_element_), weights_, sums_.data(),
                ByteMap(at.outputs[0], out_, out_element_), scratch, items, first);
  }

  Plan plan_;
  MapShape in_, out_;
  std::size_t in_element_, out_element_;
  const std::byte* weights_;
  std::vector<SumStore> sums_;
};

// Packed: weights, then a start and a scale for each lane of each class, then the table.
template <class Method>
class QuantizedConvOp final : public Op {
 public:
  explicit QuantizedConvOp(QuantizedNode node)
      : node_(std::move(node)),
        nominal_(Method::plan(node_, nullptr, 1)),
        panels_(nominal_.panels()),
        sums_(Method::classes(nominal_), SumStore(node_.from, node_.to, node_.relu)) {}

  Access access(std::size_t input) const override {
    if (input > 0) return Access::kNone;
    return node_.from_image ? Access::kPlain : Access::kMap;
  }
  std::size_t halo(std::size_t input) const override { return input == 0 ? Method::halo(node_, nominal_) : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  bool applies_activation() const override { return node_.relu || node_.then; }
  bool takes_bytes() const override { return node_.from_image; }
  double macs() const override { return node_.dims.macs(); }
  std::size_t weight_bytes() const override {
    const std::size_t numbers = checked_product({sums_.size(), 2 * lanes(), sizeof(float)});
    return checked_add(checked_add(lanes_offset(), numbers), node_.table ? ByteTable::kBytes : 0);
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = packed;
    Method::pack(nominal_, node_.weights.weight.data(), packed, threads);
    auto* numbers = reinterpret_cast<float*>(packed + lanes_offset());
    for (std::size_t i = 0; i < sums_.size(); ++i, numbers += 2 * lanes())
      sums_[i].pack(Method::weights_of(nominal_, i, node_.weights), sum_groups(), panels_, nominal_.offset(),
                    reinterpret_cast<std::int32_t*>(numbers), numbers + lanes());
    node_.weights = {};
    for (SumStore& sums : sums_)
      if (node_.then) sums.set_activation(*node_.then);
    if (!node_.table) return;
    auto* table = reinterpret_cast<std::uint8_t*>(numbers);
    std::copy(node_.table->entries.begin(), node_.table->entries.end(), table);
    for (SumStore& sums : sums_) sums.set_table(table, node_.table->to.zero_point());
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    const MapShape in = inputs[0].map();
    const bool same = in.h == node_.dims.in.h && in.w == node_.dims.in.w;
    if (node_.transposed && !same) return nullptr;
    auto op = std::make_unique<QuantizedConvOp>(*this);
    ConvDims& dims = op->node_.dims;
    if (node_.transposed)
      dims.in.n = dims.out.n = in.n;
    else
      dims.resize(in);
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    return std::make_unique<QuantizedConvStep<Method>>(Method::plan(node_, &panels_, members), macs(), members,
                                                       inputs[0], outputs[0], weights_, sums_);
  }

 private:
  // How many groups of panels there are.
  std::size_t sum_groups() const { return node_.dims.out_c / panels_.channels; }
  std::size_t lanes() const { return checked_mul(sum_groups(), panels_.padded()); }
  std::size_t lanes_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }

  QuantizedNode node_;
  typename Method::Plan nominal_;
  Panels panels_;
  std::vector<SumStore> sums_;
  const std::byte* weights_ = nullptr;
};

bool is_winograd(const QuantizedNode& node, Algorithm algorithm) {
  if (algorithm == Algorithm::kGemm || !node.dims.is_square()) return false;
  const ConvShape shape = node.dims.square(node.dims.in);
  return IntegerWinograd::supports(shape) && (algorithm == Algorithm::kWinograd || IntegerWinograd::pays(shape)) &&
         IntegerWinograd::is_exact(shape, node.weights.weight.data());
}

}  // namespace

std::unique_ptr<Op> make_quantized_conv(const OpContext& context) {
  QuantizedNode node = read_quantized_conv(context, false);
  if (node.from_image) return std::make_unique<QuantizedConvOp<Stem>>(std::move(node));
  const ConvDims& dims = node.dims;
  if (IntegerDepthwise::supports(dims.in.c, dims.out_c, dims.groups, dims.window))
    return std::make_unique<QuantizedConvOp<Depthwise>>(std::move(node));
  if (is_winograd(node, context.algorithm)) return std::make_unique<QuantizedConvOp<Winograd>>(std::move(node));
  return std::make_unique<QuantizedConvOp<Direct>>(std::move(node));
}

std::unique_ptr<Op> make_quantized_conv_transpose(const OpContext& context) {
  return std::make_unique<QuantizedConvOp<Direct>>(read_quantized_conv(context, true));
}

}  // namespace qarepvgg
