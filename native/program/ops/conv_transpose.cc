// convTranspose with few output channels, whose kernels do not overlap.
#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "program/ops/conv_parts.h"
#include "program/ops/unary.h"

namespace qarepvgg {
namespace {

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

std::unique_ptr<Op> make_narrow_transpose(const ConvNode& node) {
  return is_narrow(node) ? std::make_unique<NarrowTransposeOp>(node) : nullptr;
}

}  // namespace qarepvgg
