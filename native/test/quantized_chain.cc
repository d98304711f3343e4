#include "test/quantized_chain.h"

#include <cmath>
#include <optional>

#include "reference/quantized.h"
#include "test/quantized_cases.h"
#include "test/reference_program.h"

namespace qarepvgg::test {
namespace {

class Builder {
 public:
  Builder(Rng& rng, std::size_t max_side) : rng_(rng), chain_(random_start(rng, max_side)) {
    shape_ = {1, chain_.channels(), chain_.size().h, chain_.size().w};
  }

  Chain build() {
    for (std::size_t count = rng_.between(1, 8); count > 0; --count) add();
    if (written_) add_dequantize();
    // The first convolution quantises the image that it reads.
    const std::vector<NodeSpec>& nodes = chain_.spec.nodes;
    if (nodes.size() > 1 && nodes[0].op == "quantize" && nodes[1].op == "quantizedConv" &&
        nodes[1].attributes.size("group") == 1 && chain_.channels() <= kMaxImageChannels)
      chain_.spec.nodes.erase(chain_.spec.nodes.begin());
    return std::move(chain_);
  }

 private:
  void add() {
    if (!written_)
      return rng_.chance(0.2) ? add_float_convolution() : append("quantize", {}, random_quantization(rng_));
    if (rng_.chance(0.08)) return add_dequantize();
    if (rng_.chance(0.15)) return add_global_average();
    add_convolution();
  }

  // Appends a node that reads what was written, and writes integers or floats.
  void append(const std::string& op, const std::vector<ValueId>& constants, const std::optional<Quantization>& to,
              Attributes attributes = {}) {
    if (written_) set_quantization(attributes, "input", *written_);
    if (to) set_quantization(attributes, "output", *to);
    written_ = to;
    const TensorType type{to ? Dtype::kUint8 : Dtype::kFloat32, {shape_.n, shape_.c, shape_.h, shape_.w}};
    chain_.add(op, constants, type, attributes);
  }

  void add_dequantize() { append("dequantize", {}, std::nullopt); }

  void add_global_average() {
    // Half of the time, sums end exactly between two integers.
    const Quantization any = random_quantization(rng_);
    const double ties = 2.0 * static_cast<double>(written_->scale()) / static_cast<double>(shape_.h * shape_.w);
    const Quantization to(rng_.chance(0.5) ? ties : static_cast<double>(any.scale()),
                          static_cast<double>(any.zero_point()), "a test");
    shape_.h = shape_.w = 1;
    append("quantizedGlobalAverage", {}, to);
  }

  // Its weights select channels, so no sum is rounded.
  void add_float_convolution() {
    const std::size_t in_c = shape_.c, out_c = rng_.between(1, 40);
    std::vector<float> weight;
    for (std::size_t out = 0; out < out_c; ++out)
      for (std::size_t in = 0; in < in_c; ++in) weight.push_back(in == out % in_c ? 0.5f : 0.0f);
    shape_.c = out_c;
    append("conv", {chain_.constant(Dtype::kFloat32, {out_c, in_c, 1, 1}, weight)}, std::nullopt,
           square_window(1, 1, 0));
  }

  void add_convolution() {
    const ConvShape conv = random_link(rng_, shape_);
    const QuantizedCase c = random_quantized_case(rng_, conv, *written_, rng_.chance(0.8));
    const Dims dims{conv.out_c, conv.in_c / conv.groups, conv.kernel, conv.kernel};
    const ValueId weight = chain_.constant(Dtype::kInt8, dims, c.weights->weight),
                  bias = chain_.constant(Dtype::kInt32, {conv.out_c}, c.weights->bias),
                  scale = chain_.constant(Dtype::kFloat32, {conv.out_c}, c.weights->scale);
    shape_ = conv.output();
    append("quantizedConv", {weight, bias, scale}, c.to,
           relu_if(c.relu, window_attributes(conv.window(), conv.groups)));
  }

  Rng& rng_;
  Chain chain_;
  std::optional<Quantization> written_;
  MapShape shape_;
};

template <class T>
std::vector<T> values_of(const Constant& constant) {
  const auto* first = reinterpret_cast<const T*>(constant.data);
  return {first, first + constant.type.elements()};
}

}  // namespace

Chain random_quantized_chain(Rng& rng, std::size_t max_side) { return Builder(rng, max_side).build(); }

reference::Tensor run_reference(const Chain& chain, const reference::Tensor& image) {
  const GraphSpec graph = chain.graph(Algorithm::kAuto);
  reference::Tensor x = image;
  bool integers = false;
  for (const NodeSpec& node : graph.nodes) {
    const auto quantized = [&](const char* prefix) {
      const auto number = [&](const char* name) { return node.attributes.number(std::string(prefix) + name); };
      return reference::Quantized{static_cast<float>(number("Scale")), static_cast<int>(number("ZeroPoint"))};
    };
    const auto constant = [&](std::size_t input) { return graph.constants[node.inputs[input] - 1]; };
    if (node.op == "quantize") {
      x = reference::quantize(x, quantized("output"));
    } else if (node.op == "dequantize") {
      x = reference::dequantize(x, quantized("input"));
    } else if (node.op == "quantizedGlobalAverage") {
      x = reference::quantized_global_average(x, quantized("input"), quantized("output"));
    } else if (node.op == "conv") {
      const std::vector<float> weight = values_of<float>(constant(1));
      x = reference::convolve(x, {weight.begin(), weight.end()}, {}, convolution_of(node, constant(1).type.dims[0]));
    } else {
      reference::QuantizedConvolution conv{convolution_of(node, constant(1).type.dims[0]),
                                           quantized("input"),
                                           {},
                                           node.attributes.has("activation"),
                                           values_of<std::int8_t>(constant(1)),
                                           values_of<std::int32_t>(constant(2)),
                                           values_of<float>(constant(3))};
      if (node.attributes.has("outputScale")) conv.to = quantized("output");
      x = reference::quantized_convolve(integers ? x : reference::quantize(x, conv.from), conv);
    }
    integers = node.outputs[0].type == Dtype::kUint8;
  }
  return x;
}

}  // namespace qarepvgg::test
