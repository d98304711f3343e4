#include "program/ops/narrow_transpose.h"

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "program/ops/unary.h"

namespace qarepvgg {
namespace {

bool is_narrow(const ConvDims& dims) {
  const auto covers = [](const Side& side) {
    return side.kernel == side.stride && side.before == 0 && side.after == 0 && side.dilation == 1;
  };
  const Window& w = dims.window;
  return covers(w.y) && covers(w.x) && dims.groups == 1 && dims.out_c <= 4 && dims.out_c * w.taps() <= kAlignedFloats &&
         dims.out.h == dims.in.h * w.y.kernel && dims.out.w == dims.in.w * w.x.kernel;
}

// An item is a row of the input.
class NarrowStep : public Step {
 public:
  NarrowStep(const ConvDims& dims, std::size_t members, const MapShape& in, const Activation& activation)
      : Step({in.n * in.h, members, map_size(in)}),
        window_(dims.window),
        in_(in),
        out_(dims.out),
        activation_(activation) {}
  std::size_t scratch_bytes() const override { return row_of_blocks().floats() * sizeof(float); }

 protected:
  const MapShape& in() const { return in_; }
  const Activation& activation() const { return activation_; }
  MapShape row_of_input() const { return {1, in_.c, 1, in_.w}; }

 private:
  // Multiplies a row of input pixels by the matrix, [channel and tap][in], and clamps the products.
  virtual void multiply(const Operands& at, std::size_t image, std::size_t y, const FeatureMap& blocks) const = 0;
  MapShape row_of_blocks() const { return {1, out_.c * window_.taps(), 1, in_.w}; }

  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const FeatureMap blocks{reinterpret_cast<float*>(scratch), row_of_blocks()};
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      const std::size_t image = line / in_.h, y = line % in_.h;
      multiply(at, image, y, blocks);
      for (std::size_t c = 0; c < out_.c; ++c)
        for (std::size_t ky = 0; ky < window_.y.kernel; ++ky) {
          float* to = at.output() + ((image * out_.c + c) * out_.h + y * window_.y.kernel + ky) * out_.w;
          scatter(blocks, (c * window_.y.kernel + ky) * window_.x.kernel, to);
          if (activation_.then() != nullptr) apply(*activation_.then(), to, out_.w, to);
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

  Window window_;
  MapShape in_, out_;
  Activation activation_;
};

// Packed: weights, then numbers for each lane.
template <class Node>
class NarrowOp : public Op {
 public:
  Access access(std::size_t input) const override { return input == 0 ? Access::kMap : Access::kNone; }
  std::vector<ValueType> outputs() const override {
    ValueType type = node_.output();
    type.layout = Layout::kPlain;
    return {type};
  }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }

 protected:
  using Numbers = typename Node::Numbers;
  using Plan = Convolution<Numbers>;

  explicit NarrowOp(Node node)
      : node_(std::move(node)),
        plan_(Plan::forward(MapShape{1, node_.in.c, 1, node_.in.w}, node_.out_c * node_.window.taps(), 1, Window{},
                            Numbers::kernels(active_kernels()))) {}
  // After the weights.
  float* lanes(std::byte* packed) const { return reinterpret_cast<float*>(packed + lanes_offset()); }
  std::size_t lanes_offset() const { return round_up(plan_.weight_bytes(), kAlignment); }

  Node node_;
  Plan plan_;
};

// ---- floats ---------------------------------------------------------------------------------------------------------

class NarrowFloatStep final : public NarrowStep {
 public:
  NarrowFloatStep(FloatConvolution plan, const ConvNode& node, std::size_t members, const MapShape& in,
                  const float* weights, const float* bias)
      : NarrowStep(node, members, in, node.activation), plan_(std::move(plan)), weights_(weights), bias_(bias) {}

 private:
  void multiply(const Operands& at, std::size_t image, std::size_t y, const FeatureMap& blocks) const override {
    const FeatureMap row{at.input_map(0, in()).at(image, signed_size(y), 0), row_of_input()};
    FloatOutput output{bias_, {}};
    output.options.clamp = activation().clamp();
    plan_.run_items(row, weights_, &output, blocks, {0, plan_.items()});
  }

  FloatConvolution plan_;
  const float *weights_, *bias_;
};

class NarrowFloatOp final : public NarrowOp<ConvNode> {
 public:
  explicit NarrowFloatOp(const ConvNode& node) : NarrowOp(node) {}

  std::size_t weight_bytes() const override {
    return checked_add(lanes_offset(), plan_.panels().padded() * sizeof(float));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    bias_ = lanes(packed);
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
  float *weights_ = nullptr, *bias_ = nullptr;
};

// ---- integers -------------------------------------------------------------------------------------------------------

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

class NarrowIntegerOp final : public NarrowOp<QuantizedNode> {
 public:
  explicit NarrowIntegerOp(QuantizedNode node)
      : NarrowOp(std::move(node)),
        sums_(node_.from, std::nullopt, node_.activation.then() != nullptr ? Activation() : node_.activation) {}

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
    float* numbers = lanes(packed);
    sums_.pack(matrix, 1, plan_.panels(), plan_.offset(), reinterpret_cast<std::int32_t*>(numbers),
               numbers + plan_.panels().padded());
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return std::make_unique<NarrowIntegerStep>(plan_, node_, members, inputs[0], weights_, sums_);
  }

 private:
  SumStore sums_;
  const std::byte* weights_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_narrow_transpose(const ConvNode& node) {
  return !node.has_addend && is_narrow(node) ? std::make_unique<NarrowFloatOp>(node) : nullptr;
}

std::unique_ptr<Op> make_narrow_transpose(QuantizedNode& node) {
  return !node.to && is_narrow(node) ? std::make_unique<NarrowIntegerOp>(std::move(node)) : nullptr;
}

}  // namespace qarepvgg
