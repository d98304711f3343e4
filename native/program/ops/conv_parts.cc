#include "program/ops/conv_parts.h"

#include <algorithm>

#include "program/ops/activation.h"
#include "program/ops/window.h"

namespace qarepvgg {
namespace {

// The window, which has few enough taps for a convolution.
Window read_taps(const Attributes& attributes) {
  const Window window = read_window(attributes);
  if (checked_mul(window.y.kernel, window.x.kernel) > ConvTaps::kMaxTaps)
    fail(code::kInvalidArg, "expected a kernel of at most ", ConvTaps::kMaxTaps, " taps, received ", window.y.kernel,
         " x ", window.x.kernel);
  return window;
}

// Shape of the output of a transposed convolution.
MapShape transposed_output(const ConvDims& dims, const std::vector<std::size_t>& extra) {
  const auto length = [](const Side& side, std::size_t in, std::size_t more) {
    const std::size_t full = checked_add(checked_add(checked_mul(in - 1, side.stride), side.reach() + 1), more);
    if (full <= side.before + side.after) fail(code::kShape, "expected an output of at least one pixel, received none");
    return full - side.before - side.after;
  };
  return {dims.in.n, dims.out_c, length(dims.window.y, dims.in.h, extra[0]),
          length(dims.window.x, dims.in.w, extra[1])};
}

}  // namespace

bool ConvDims::same_dims(const ConvDims& other) const {
  return in.same_dims(other.in) && out.same_dims(other.out) && groups == other.groups &&
         transposed == other.transposed && window.y == other.window.y && window.x == other.window.x;
}

double ConvDims::macs() const {
  const std::size_t pixels = std::max(out.n * out.h * out.w, in.n * in.h * in.w);
  const std::size_t positions = out.h * out.w <= in.h * in.w ? out.n * out.h * out.w : pixels;
  return static_cast<double>(positions) * static_cast<double>(out_c * (in.c / groups) * window.taps());
}

std::size_t ConvDims::input_halo() const {
  return std::max({window.y.before, window.y.after, window.x.before, window.x.after});
}

bool ConvDims::is_square() const {
  const Side &y = window.y, &x = window.x;
  return y == x && y.before == y.after && y.kernel <= ConvShape::kMaxKernel;
}

ConvShape ConvDims::square(const MapShape& input) const {
  const Side& side = window.y;
  return {input.n, input.c, input.h, input.w, out_c, side.kernel, side.stride, side.before, side.dilation, groups};
}

bool ConvDims::resize(const MapShape& input) {
  if (transposed) {
    in.n = out.n = input.n;
    return in.h == input.h && in.w == input.w;
  }
  const auto fits = [](const Side& side, std::size_t length) {
    return length + side.before + side.after > side.reach();
  };
  if (!fits(window.y, input.h) || !fits(window.x, input.w))
    fail(code::kShape, "expected an image of at least ", window.y.reach() + 1, " x ", window.x.reach() + 1,
         " pixels with its padding, received ", input.h, " x ", input.w);
  in = {input.n, input.c, input.h, input.w};
  out = {in.n, out_c, window.y.positions(in.h), window.x.positions(in.w)};
  return true;
}

ConvShape ConvDims::winograd_shape(const MapShape& input) const {
  ConvShape shape = square(input);
  if (shape.kernel == 3 && shape.padding == 0) {
    shape.in_h -= 2;
    shape.in_w -= 2;
    shape.padding = 1;
  }
  if (groups > 1) return shape;
  shape.in_c = round_up(shape.in_c, kAlignedFloats);
  shape.out_c = round_up(shape.out_c, kAlignedFloats);
  return shape;
}

ConvDims read_conv_dims(const OpContext& context, const MapShape& in, bool transposed) {
  ConvDims dims;
  dims.transposed = transposed;
  dims.in = in;
  dims.groups = context.attributes().size("group");
  dims.window = read_taps(context.attributes());
  if (dims.groups == 0 || dims.in.c % dims.groups != 0)
    fail(code::kInvalidArg, "expected groups that divide ", dims.in.c, " channels, received ", dims.groups);
  const Dims& weight = context.inputs[1].dims();
  const Window& w = dims.window;
  Dims expected{dims.in.c, 0, w.y.kernel, w.x.kernel};
  if (transposed) {
    dims.out_c = weight.size() < 2 ? 0 : checked_mul(weight[1], dims.groups);
    if (dims.out_c == 0) fail(code::kInvalidArg, "expected output channels, received none");
    expected[1] = dims.out_c / dims.groups;
  } else {
    dims.out_c = weight.empty() ? 0 : weight[0];
    if (dims.out_c == 0 || dims.out_c % dims.groups != 0)
      fail(code::kInvalidArg, "expected groups that divide ", dims.out_c, " output channels, received ", dims.groups);
    expected[0] = dims.out_c;
    expected[1] = dims.in.c / dims.groups;
  }
  if (weight != expected)
    fail(code::kShape, "expected the weight of dims ", text_of(expected), ", received ", text_of(weight));
  if (transposed)
    dims.out = transposed_output(dims, context.attributes().sizes("outputPadding", 2));
  else
    dims.resize(dims.in);
  return dims;
}

void ConvNode::pack_bias(const Panels& panels, float* packed) const {
  std::vector<float> all(groups * panels.channels, 0.0f);
  if (bias != nullptr) std::copy_n(bias, out_c, all.data());
  panels.spread(all.data(), groups, packed);
}

ConvNode read_conv(const OpContext& context, bool transposed) {
  context.expect_inputs(2, 4);
  ConvNode node;
  static_cast<ConvDims&>(node) = read_conv_dims(context, read_image(context, Dtype::kFloat32), transposed);
  node.weight = read_floats(context, 1, context.inputs[1].dims());
  if (context.is_given(2)) node.bias = read_floats(context, 2, {node.out_c});
  node.activation = stored_activation_of(context.attributes());
  node.has_addend = context.is_given(3);
  if (!node.has_addend) return node;
  const Dims dims{node.out.n, node.out.c, node.out.h, node.out.w};
  if (context.floats(3).dims() != dims)
    fail(code::kShape, "expected an addend of dims ", text_of(dims), ", received ", text_of(context.inputs[3].dims()));
  return node;
}

}  // namespace qarepvgg
