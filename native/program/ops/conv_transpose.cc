// convTranspose: [x, weight [in, out / group, kh, kw], bias?]; the attributes of conv, and outputPadding [bottom,
// right]. It is one convolution for each residue class of the strides, so nothing is multiplied by zero.
#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "program/ops/conv_parts.h"
#include "program/ops/table.h"
#include "program/ops/unary.h"

namespace qarepvgg {
namespace {

class TransposedStep final : public Step {
 public:
  TransposedStep(FloatConvolution plan, const ConvNode& node, std::size_t members, const MapShape& in,
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
    const FeatureMap addend = node_.addend_at(at, addend_);
    const FloatOutput output{bias_, node_.options(addend)};
    plan_.run_items(at.input_map(0, in_), weights_, &output, at.output_map(out_), items);
  }

  FloatConvolution plan_;
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
  bool applies_activation() const override { return node_.applies_activation(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override { return checked_add(bias_offset(), bias_floats() * sizeof(float)); }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = reinterpret_cast<float*>(packed + bias_offset());
    nominal_.pack_transposed_weights(node_.weight, weights_, threads);
    if (node_.bias != nullptr)
      nominal_.panels().spread(node_.bias, node_.groups, bias_);
    else
      std::fill_n(bias_, bias_floats(), 0.0f);
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map();
    FloatConvolution plan = plan_for(in);
    plan.share(nominal_.panels(), members);
    return std::make_unique<TransposedStep>(std::move(plan), node_, members, in, node_.addend_of(inputs),
                                            outputs[0].map(), weights_, bias_);
  }

 private:
  FloatConvolution plan_for(const MapShape& in) const {
    return FloatConvolution::transposed(in, node_.out, node_.groups, node_.window, active_kernels());
  }
  std::size_t bias_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }
  std::size_t bias_floats() const { return checked_mul(node_.groups, nominal_.panels().padded()); }

  ConvNode node_;
  FloatConvolution nominal_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

// ---- few output channels ------------------------------------------------------------------------------------------

// If kernels do not overlap, a block of output pixels is a matrix times an input pixel. With few channels, such a block
// fits into a vector, and a map would be mostly padding, so the output is a plain tensor.
bool is_narrow(const ConvNode& node) {
  const auto covers = [](const Side& side) {
    return side.kernel == side.stride && side.before == 0 && side.after == 0 && side.dilation == 1;
  };
  const Window& w = node.window;
  return covers(w.y) && covers(w.x) && node.groups == 1 && !node.has_addend && node.out_c <= 4 &&
         node.out_c * w.taps() <= kAlignedFloats && node.out.h == node.in.h * w.y.kernel &&
         node.out.w == node.in.w * w.x.kernel;
}

// An item is a row of the input.
class NarrowStep final : public Step {
 public:
  NarrowStep(FloatConvolution plan, const ConvNode& node, std::size_t members, const MapShape& in, const float* weights,
             const float* bias, std::optional<UnaryFunction> activation)
      : Step({in.n * in.h, members, map_size(in)}),
        plan_(std::move(plan)),
        window_(node.window),
        in_(in),
        out_(node.out),
        weights_(weights),
        bias_(bias),
        relu_(node.relu),
        ceiling_(node.ceiling),
        then_(activation) {}
  std::size_t scratch_bytes() const override { return row_of_blocks().floats() * sizeof(float); }

 private:
  MapShape row_of_blocks() const { return {1, out_.c * window_.taps(), 1, in_.w}; }

  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const FeatureMap x = at.input_map(0, in_), blocks{reinterpret_cast<float*>(scratch), row_of_blocks()};
    FloatOutput output{bias_, {}};
    output.options.relu = relu_;
    output.options.ceiling = ceiling_;
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      const std::size_t image = line / in_.h, y = line % in_.h;
      const FeatureMap row{x.at(image, signed_size(y), 0), {1, in_.c, 1, in_.w}};
      plan_.run_items(row, weights_, &output, blocks, {0, plan_.items()});
      for (std::size_t c = 0; c < out_.c; ++c)
        for (std::size_t ky = 0; ky < window_.y.kernel; ++ky) {
          float* to = at.output() + ((image * out_.c + c) * out_.h + y * window_.y.kernel + ky) * out_.w;
          scatter(blocks, (c * window_.y.kernel + ky) * window_.x.kernel, to);
          if (then_) apply(*then_, to, out_.w, to);
        }
    }
  }

  // Copies one line of every block, so that they form a line of the output.
  void scatter(const FeatureMap& blocks, std::size_t first, float* to) const {
    const std::size_t pixel = blocks.shape.pixel(), kernel = window_.x.kernel;
    for (std::size_t kx = 0; kx < kernel; ++kx) {
      const float* from = blocks.data + first + kx;
      for (std::size_t x = 0; x < in_.w; ++x) to[x * kernel + kx] = from[x * pixel];
    }
  }

  FloatConvolution plan_;
  Window window_;
  MapShape in_, out_;
  const float *weights_, *bias_;
  bool relu_;
  float ceiling_;
  std::optional<UnaryFunction> then_;
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
  bool applies_activation() const override { return node_.applies_activation(); }
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
    return std::make_unique<NarrowStep>(plan_, node_, members, inputs[0].map(), weights_, bias_, node_.then);
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

std::unique_ptr<Op> make_conv_transpose(const OpContext& context) {
  const ConvNode node = read_conv_transpose(context);
  if (is_narrow(node)) return std::make_unique<NarrowTransposeOp>(node);
  return std::make_unique<ConvTransposeOp>(node);
}

}  // namespace qarepvgg
