// Convolutions of integers as nodes of a graph: the bits of the reference on every instruction set, by every algorithm,
// for any number of threads and images. And refusals.
#include "test/quantized_graph.h"

namespace qarepvgg::test {
namespace {

using Window = reference::QuantizedWindow;

constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};

struct Conv {
  reference::Dims in;
  Window op;
  std::size_t after[2];
  QuantizedCase numbers;
  std::optional<Quantization> stored;  // absent for floats
  bool is_leaky;                       // leaky ReLU of floats
};

Conv random_conv(Rng& rng) {
  const std::size_t shape = rng.between(0, 5), sides[]{1, 2, 3, 3, 5, 7};
  const auto draw = [&] { return rng.between(1, rng.chance(0.5) ? 6 : 40); };
  reference::Dims in{rng.between(1, 3), draw(), rng.between(1, 14), rng.between(1, 14)};
  std::size_t out_c = draw(), groups = 1;
  Window::Side y, x;
  for (Window::Side* side : {&y, &x})
    *side = {rng.pick(sides), rng.between(1, 2), rng.between(0, 2), rng.between(1, 2)};
  std::size_t after[2]{rng.between(0, 2), rng.between(0, 2)};
  if (shape == 1) {  // depthwise
    groups = out_c = in.c;
    y = x = {rng.chance(0.5) ? std::size_t{3} : 5, rng.between(1, 2), rng.between(0, 2), 1};
  } else if (shape == 2) {  // Winograd's
    in.c = 16 * rng.between(1, 3);
    out_c = 16 * rng.between(1, 3);
    y = x = {3, 1, 1, 1};
    after[0] = after[1] = 1;
  } else if (shape == 3) {
    y = x = {1, 1, 0, 1};
    after[0] = after[1] = 0;
  } else if (shape == 4) {  // transposed, kernels do not overlap
    out_c = rng.between(1, 5);
    for (Window::Side* side : {&y, &x}) side->kernel = side->stride = rng.between(1, 3);
    for (Window::Side* side : {&y, &x}) side->before = 0, side->dilation = 1;
    after[0] = after[1] = 0;
  } else if (rng.chance(0.3)) {
    groups = rng.between(1, 4);
    in.c *= groups;
    out_c *= groups;
  }
  const bool transposed = shape >= 4;
  const auto length = [&](Window::Side& side, std::size_t& last, std::size_t& from) {
    const std::size_t reach = side.dilation * (side.kernel - 1);
    if (transposed) {
      const std::size_t full = (from - 1) * side.stride + reach + 1;
      if (full <= side.before + last) side.before = last = 0;
      return (from - 1) * side.stride + reach + 1 - side.before - last;
    }
    if (from + side.before + last <= reach) from += reach;
    return (from + side.before + last - reach - 1) / side.stride + 1;
  };
  const std::size_t out_h = length(y, after[0], in.h), out_w = length(x, after[1], in.w);
  const std::size_t terms = in.c / groups * y.kernel * x.kernel;
  const Quantization from = random_quantization(rng);
  QuantizedCase numbers = random_quantized_case(rng, {1, terms, 1, 1, out_c, 1, 1, 0, 1, 1}, from, rng.chance(0.5));
  Window op{{in.n, out_c, out_h, out_w},
            groups,
            y,
            x,
            transposed,
            plain(from),
            {},
            numbers.relu,
            numbers.weights->weight,
            numbers.weights->bias,
            numbers.weights->scale,
            {}};
  if (numbers.to) op.to = plain(*numbers.to);
  std::optional<Quantization> stored = numbers.to;
  if (numbers.to && rng.chance(0.4)) {
    for (int i = 0; i < 256; ++i) op.table.push_back(static_cast<std::uint8_t>(rng.between(0, 255)));
    stored = random_quantization(rng);
  }
  return {in, op, {after[0], after[1]}, numbers, stored, !stored && !op.relu && rng.chance(0.5)};
}

std::vector<std::int8_t> as_node_has_it(const Conv& conv) {
  if (!conv.op.transposed) return conv.op.weight;
  const std::size_t depth = conv.in.c / conv.op.groups, width = conv.op.out.c / conv.op.groups;
  const std::size_t taps = conv.op.y.kernel * conv.op.x.kernel;
  std::vector<std::int8_t> weight(conv.op.weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const std::size_t t = i % taps, o = i / taps % width, in = i / taps / width;
    weight[i] = conv.op.weight[((in / depth * width + o) * depth + in % depth) * taps + t];
  }
  return weight;
}

QuantizedMaker maker_of(const Conv& conv) {
  QuantizedMaker maker;
  const Window& op = conv.op;
  const std::size_t out = op.out.c, ky = op.y.kernel, kx = op.x.kernel;
  const ValueId x = maker.input(dims_of(conv.in));
  const Dims weight_dims =
      op.transposed ? Dims{conv.in.c, out / op.groups, ky, kx} : Dims{out, conv.in.c / op.groups, ky, kx};
  const ValueId weight = maker.constant(Dtype::kInt8, weight_dims, as_node_has_it(conv));
  const ValueId bias = maker.constant(Dtype::kInt32, {out}, op.bias);
  const ValueId scale = maker.constant(Dtype::kFloat32, {out}, op.weight_scale);
  const ValueId table = op.table.empty() ? kNoValue : maker.constant(Dtype::kUint8, {256}, op.table);
  Attributes attributes = window_attributes({{ky, op.y.stride, op.y.before, conv.after[0], op.y.dilation},
                                             {kx, op.x.stride, op.x.before, conv.after[1], op.x.dilation}},
                                            op.groups);
  if (op.transposed) attributes.set("outputPadding", std::vector<double>{0, 0});
  if (op.relu) attributes.set("activation", std::string("relu"));
  if (conv.is_leaky) {
    attributes.set("activation", std::string("leakyRelu"));
    attributes.set("activation.alpha", 0.25);
  }
  set_quantization(attributes, "input", conv.numbers.from);
  if (conv.numbers.to) set_quantization(attributes, "output", *conv.numbers.to);
  if (!op.table.empty()) set_quantization(attributes, "table", *conv.stored);
  const ValueId q = maker.quantize(x, conv.numbers.from);
  const TensorType type{conv.stored ? Dtype::kUint8 : Dtype::kFloat32, dims_of(op.out)};
  const ValueId y = maker.node(op.transposed ? "quantizedConvTranspose" : "quantizedConv",
                               {q, weight, bias, scale, table}, type, attributes);
  maker.set_output(y, dims_of(op.out), conv.stored);
  return maker;
}

std::string describe(const Conv& conv) {
  const auto side = [](const Window::Side& s, std::size_t after) {
    return text_of(s.kernel, "/", s.stride, " pads ", s.before, " ", after, " dilation ", s.dilation);
  };
  return text_of(conv.op.transposed ? "transposed " : "", conv.in, " -> ", conv.op.out, ", groups ", conv.op.groups,
                 ", ", side(conv.op.y, conv.after[0]), ", ", side(conv.op.x, conv.after[1]),
                 conv.op.table.empty() ? "" : ", table");
}

TEST(quantized_graph_convolutions) {
  test.repeat(600, [](Rng& rng) {
    const Conv conv = random_conv(rng);
    const reference::Tensor q = random_integers(rng, conv.in);
    reference::Tensor expected = reference::quantized_convolve(q, conv.op);
    if (conv.stored) expected = reference::dequantize(expected, plain(*conv.stored));
    for (double& value : expected.data)
      if (conv.is_leaky && value < 0) value *= 0.25;
    QuantizedMaker maker = maker_of(conv);
    for (Algorithm algorithm : kAlgorithms) {
      maker.finish().algorithm = algorithm;
      check_graph(maker.finish(), {floats_of(q, conv.numbers.from)}, expected.data, describe(conv));
    }
  });
}

// ---- refusals ----------------------------------------------------------------------------------------------------

std::string refusal(const std::function<void(GraphSpec&)>& lie) {
  Rng rng(7);
  Conv conv = random_conv(rng);
  while (conv.op.table.empty() || conv.in.c <= 4) conv = random_conv(rng);
  QuantizedMaker maker = maker_of(conv);
  lie(maker.finish());
  return code_of([&] { const GraphProgram program(maker.finish()); });
}

TEST(quantized_graph_spec_is_not_trusted) {
  const auto attribute = [](const char* name, Attributes::Value value) {
    return [=](GraphSpec& spec) { spec.nodes[1].attributes.set(name, value); };
  };
  CHECK_EQUAL(refusal([](GraphSpec&) {}), "no error", "the true one");
  const std::pair<const char*, std::function<void(GraphSpec&)>> lies[]{
      {"scale of 0", attribute("outputScale", 0.0)},
      {"denormal scale", attribute("tableScale", 1e-40)},
      {"zero point of 256", attribute("outputZeroPoint", 256.0)},
      {"another input scale", attribute("inputScale", 123.0)},
      {"activation without a table", attribute("activation", std::string("silu"))},
      {"groups of 0", attribute("group", 0.0)},
      {"table of floats", [](GraphSpec& spec) { spec.constants[3].type.type = Dtype::kInt8; }},
      {"short table", [](GraphSpec& spec) { spec.constants[3].type.dims = {255}; }},
      {"table that is computed", [](GraphSpec& spec) { spec.nodes[1].inputs[4] = 0; }},
      {"too many operands", [](GraphSpec& spec) { spec.nodes[1].inputs.resize(6, 0); }},
      {"absent bias", [](GraphSpec& spec) { spec.nodes[1].inputs[2] = kNoValue; }},
      {"weights of floats", [](GraphSpec& spec) { spec.constants[0].type.type = Dtype::kUint8; }},
      {"reads floats", [](GraphSpec& spec) { spec.nodes[1].inputs[0] = 0; }},
      {"integers where floats belong", [](GraphSpec& spec) { spec.nodes[2].op = "globalPool"; }},
  };
  for (const auto& [what, lie] : lies) CHECK(refusal(lie) != "no error", what);
}

}  // namespace
}  // namespace qarepvgg::test
