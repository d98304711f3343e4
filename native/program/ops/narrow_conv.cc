#include "program/ops/narrow_conv.h"

#include <algorithm>

#include "ops/convolution.h"

namespace qarepvgg {
namespace {

// Vectors that are multiplied for an output pixel, and about as much work of other kinds.
double steps_of(const ConvNode& node, std::size_t lanes, std::size_t columns) {
  const std::size_t depth = node.in.c * node.window.taps() / columns;
  return static_cast<double>(depth * ceil_div(node.out_c * columns, lanes));
}

class NarrowConv final : public Op {
 public:
  explicit NarrowConv(const ConvNode& node) : node_(node), products_(products_for(node)) {}

  Access access(std::size_t input) const override { return input == 0 || input == 3 ? Access::kMap : Access::kNone; }
  std::size_t halo(std::size_t input) const override { return input == 0 ? node_.input_halo() : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override {
    return checked_add(ones_offset(), checked_mul(columns() + 1, kAlignedFloats * sizeof(float)));
  }
  void pack(std::byte* packed, int threads) override {
    weights_ = reinterpret_cast<float*>(packed);
    ones_ = reinterpret_cast<float*>(packed + ones_offset());
    bias_ = ones_ + columns() * kAlignedFloats;
    // [channel][in][row][column] -> [column and channel][in][row]
    const std::size_t column_weights = node_.in.c * node_.window.y.kernel;
    std::vector<float> weight(node_.out_c * columns() * column_weights);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const std::size_t lane = i / column_weights, column = lane / node_.out_c, channel = lane % node_.out_c;
      weight[i] = node_.weight[(channel * column_weights + i % column_weights) * columns() + column];
    }
    products_.pack_weights(weight.data(), weights_, threads);
    std::fill_n(ones_, columns() * kAlignedFloats, 1.0f);
    std::fill_n(bias_, kAlignedFloats, 0.0f);
    if (node_.bias != nullptr) std::copy_n(node_.bias, node_.out_c, bias_);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<NarrowConv>(*this);
    op->node_.resize(inputs[0].map());
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override;

 private:
  class RowStep;

  static FloatConvolution products_for(const ConvNode& node) {
    const Side& across = node.window.x;
    const MapShape image{1, node.in.c, node.in.h, node.in.w};
    return FloatConvolution::forward(image, node.out_c * across.kernel, 1,
                                     {node.window.y, {1, 1, across.before, across.after, 1}}, active_kernels());
  }
  std::size_t columns() const { return node_.window.x.kernel; }
  std::size_t ones_offset() const { return round_up(products_.weight_bytes(), kAlignment); }
  // Products of one row of output pixels.
  MapShape row_of_products() const {
    const Side& across = node_.window.x;
    return {1, node_.out_c * across.kernel, 1, node_.in.w + across.before + across.after};
  }

  ConvNode node_;
  FloatConvolution products_;
  float *weights_ = nullptr, *ones_ = nullptr, *bias_ = nullptr;
};

// An item is a row of the output.
class NarrowConv::RowStep final : public Step {
 public:
  RowStep(const NarrowConv& op, FloatConvolution products, std::size_t members, const MapShape& in,
          const MapShape& addend, const MapShape& out)
      : Step({out.n * out.h, members, std::max(op.macs() / FloatNumbers::kPieceMacs, map_size(in))}),
        op_(&op),
        products_(std::move(products)),
        in_(in),
        addend_(addend),
        out_(out) {}
  // The sums read whole vectors, also at the last products of a row.
  std::size_t scratch_bytes() const override {
    return (op_->row_of_products().floats() + kAlignedFloats) * sizeof(float);
  }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const ConvNode& node = op_->node_;
    const KernelTable& kernels = active_kernels();
    const Side& across = node.window.x;
    const FeatureMap in = at.input_map(0, in_), addend = node.addend_at(at, addend_), out = at.output_map(out_);
    const FeatureMap products{reinterpret_cast<float*>(scratch), op_->row_of_products()};
    const FloatOutput output{op_->bias_, node.options(addend)};
    std::ptrdiff_t taps[ConvTaps::kMaxTaps];
    for (std::size_t t = 0; t < across.kernel; ++t)
      taps[t] = signed_size(t * across.dilation * products.shape.pixel() + t * node.out_c);
    // A depthwise convolution whose taps are in different channels.
    DepthwiseRows sums{};
    sums.input = products.data;
    sums.step = signed_size(across.stride * products.shape.pixel());
    sums.taps = taps;
    sums.tap_count = across.kernel;
    sums.weights = op_->ones_;
    sums.bias = op_->bias_;
    sums.clamp = output.options.clamp;
    sums.out_pixel = signed_size(out.shape.pixel());
    sums.addend_pixel = signed_size(output.addend_for(out).shape.pixel());
    sums.rows = 1;
    sums.pixels = out.shape.w;
    sums.channels = kAlignedFloats;
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      const std::size_t image = line / out_.h, y = line % out_.h;
      const FeatureMap rows{in.data + image * in_.image() + y * node.window.y.stride * in_.row(), in_};
      products_.run_rows(rows, op_->weights_, {}, products, {0, 1});
      sums.out = out.at(image, signed_size(y), 0);
      sums.addend = output.addend_at(out, image, signed_size(y), 0, 0);
      kernels.depthwise_taps(sums);
      output.finish(kernels, sums.out, out.shape.w, sums.out_pixel, node.out_c, out.shape.pixel() - node.out_c);
    }
  }

  const NarrowConv* op_;
  FloatConvolution products_;
  MapShape in_, addend_, out_;
};

std::unique_ptr<Step> NarrowConv::plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                                       std::size_t members) const {
  FloatConvolution products = products_for(node_);
  products.share(products_.panels(), 1);
  return std::make_unique<RowStep>(*this, std::move(products), members, inputs[0].map(), node_.addend_of(inputs),
                                   outputs[0].map());
}

}  // namespace

std::unique_ptr<Op> make_narrow_conv(const ConvNode& node, bool is_image) {
  constexpr double kImportSteps = kAlignedFloats, kSumSteps = 2;
  const std::size_t columns = node.window.x.kernel, lanes = static_cast<std::size_t>(active_kernels().lanes);
  const double direct = steps_of(node, lanes, 1), narrow = steps_of(node, lanes, columns) +
                                                           kSumSteps * static_cast<double>(columns) +
                                                           (is_image ? kImportSteps : 0);
  const bool pays = node.groups == 1 && node.out_c <= kAlignedFloats && 2 * narrow < direct;
  return pays ? std::make_unique<NarrowConv>(node) : nullptr;
}

}  // namespace qarepvgg
