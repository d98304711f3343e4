// Ops on integers as nodes of a graph: the bits of the reference on every instruction set, by every algorithm, for any
// number of threads and images. And refusals.
#include <algorithm>
#include <functional>

#include "program/infer/graph_program.h"
#include "test/quantized_cases.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

using Bytes = std::vector<std::byte>;
using Window = reference::QuantizedWindow;

constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};

Dims dims_of(const reference::Dims& d) { return {d.n, d.c, d.h, d.w}; }
reference::Quantized plain(const Quantization& q) { return {q.scale(), q.zero_point()}; }

// Builds a graph that quantises floats, runs an op on integers, and dequantises its output.
class Maker {
 public:
  ValueId input(const Dims& dims) {
    spec_.inputs.push_back({Dtype::kFloat32, dims});
    return spec_.inputs.size() - 1;
  }
  // Inputs come first, then constants, then nodes.
  template <class T>
  ValueId constant(Dtype type, const Dims& dims, const std::vector<T>& values) {
    const auto* first = reinterpret_cast<const std::byte*>(values.data());
    memory_.emplace_back(first, first + values.size() * sizeof(T));
    spec_.constants.push_back({{type, dims}, nullptr});
    return spec_.inputs.size() + spec_.constants.size() - 1;
  }
  ValueId node(const std::string& op, std::vector<ValueId> inputs, const TensorType& type, Attributes attributes) {
    spec_.nodes.push_back({op, "node", std::move(inputs), {type}, std::move(attributes)});
    return spec_.inputs.size() + spec_.constants.size() + spec_.nodes.size() - 1;
  }
  ValueId quantize(ValueId x, const Quantization& q) {
    Attributes attributes;
    set(attributes, "output", q);
    return node("quantize", {x}, {Dtype::kUint8, spec_.inputs[x].dims}, attributes);
  }
  void finish(ValueId result, const Dims& dims, const std::optional<Quantization>& q) {
    if (q) {
      Attributes attributes;
      set(attributes, "input", *q);
      result = node("dequantize", {result}, {Dtype::kFloat32, dims}, attributes);
    }
    spec_.outputs = {result};
  }
  GraphSpec& spec() {
    for (std::size_t i = 0; i < memory_.size(); ++i) spec_.constants[i].data = memory_[i].data();
    return spec_;
  }
  static void set(Attributes& attributes, const std::string& prefix, const Quantization& q) {
    attributes.set(prefix + "Scale", static_cast<double>(q.scale()));
    attributes.set(prefix + "ZeroPoint", static_cast<double>(q.zero_point()));
  }

 private:
  GraphSpec spec_;
  std::vector<Bytes> memory_;
};

using Floats = std::vector<float>;

// Floats that `quantize` rounds to these integers.
Floats floats_of(const reference::Tensor& q, const Quantization& as) {
  const reference::Tensor x = reference::dequantize(q, plain(as));
  return {x.data.begin(), x.data.end()};
}

// Runs a graph on every instruction set with teams of several sizes, and compares its output.
void check_graph(GraphSpec& spec, const std::vector<Floats>& inputs, const reference::Values& expected,
                 const std::string& where) {
  std::vector<const std::byte*> from;
  for (const Floats& input : inputs) from.push_back(reinterpret_cast<const std::byte*>(input.data()));
  for (const KernelTable* kernels : available_kernels()) {
    const UseKernels use(*kernels);
    for (int threads : {1, 2, 3}) {
      spec.threads = threads;
      GraphProgram program(spec, 0);
      const std::atomic<bool> stop{false};
      for (int run = 0; run < 2; ++run) {  // the second run finds the memory of the first
        Floats output(expected.size());
        const GraphTask task{from, {reinterpret_cast<std::byte*>(output.data())}};
        program.run(&task, 1, stop);
        CHECK_VALUES(reference::Values(output.begin(), output.end()), expected, kEitherZero, kernels->isa, ", ",
                     threads, " threads, ", where);
      }
    }
  }
}

// ---- convolutions ------------------------------------------------------------------------------------------------

struct Conv {
  reference::Dims in;
  Window op;
  std::size_t after[2];
  QuantizedCase numbers;
  std::optional<Quantization> stored;  // absent for floats
  bool is_leaky;                       // leaky ReLU of floats
};

Conv random_conv(Rng& rng) {
  const std::size_t shape = rng.between(0, 4), sides[]{1, 2, 3, 3, 5, 7};
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
  } else if (rng.chance(0.3)) {
    groups = rng.between(1, 4);
    in.c *= groups;
    out_c *= groups;
  }
  const bool transposed = shape == 4;
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

Maker maker_of(const Conv& conv) {
  Maker maker;
  const Window& op = conv.op;
  const std::size_t out = op.out.c, ky = op.y.kernel, kx = op.x.kernel;
  const ValueId x = maker.input(dims_of(conv.in));
  const Dims weight_dims =
      op.transposed ? Dims{conv.in.c, out / op.groups, ky, kx} : Dims{out, conv.in.c / op.groups, ky, kx};
  const ValueId weight = maker.constant(Dtype::kInt8, weight_dims, as_node_has_it(conv));
  const ValueId bias = maker.constant(Dtype::kInt32, {out}, op.bias);
  const ValueId scale = maker.constant(Dtype::kFloat32, {out}, op.weight_scale);
  const ValueId table = op.table.empty() ? kNoValue : maker.constant(Dtype::kUint8, {256}, op.table);
  Attributes attributes;
  const auto pair = [&](const char* name, std::size_t Window::Side::* member) {
    attributes.set(name, std::vector<double>{static_cast<double>(op.y.*member), static_cast<double>(op.x.*member)});
  };
  pair("kernel", &Window::Side::kernel);
  pair("strides", &Window::Side::stride);
  pair("dilations", &Window::Side::dilation);
  attributes.set("pads", std::vector<double>{static_cast<double>(op.y.before), static_cast<double>(op.x.before),
                                             static_cast<double>(conv.after[0]), static_cast<double>(conv.after[1])});
  attributes.set("group", static_cast<double>(op.groups));
  if (op.transposed) attributes.set("outputPadding", std::vector<double>{0, 0});
  if (op.relu) attributes.set("activation", std::string("relu"));
  if (conv.is_leaky) {
    attributes.set("activation", std::string("leakyRelu"));
    attributes.set("activation.alpha", 0.25);
  }
  Maker::set(attributes, "input", conv.numbers.from);
  if (conv.numbers.to) Maker::set(attributes, "output", *conv.numbers.to);
  if (!op.table.empty()) Maker::set(attributes, "table", *conv.stored);
  const ValueId q = maker.quantize(x, conv.numbers.from);
  const TensorType type{conv.stored ? Dtype::kUint8 : Dtype::kFloat32, dims_of(op.out)};
  const ValueId y = maker.node(op.transposed ? "quantizedConvTranspose" : "quantizedConv",
                               {q, weight, bias, scale, table}, type, attributes);
  maker.finish(y, dims_of(op.out), conv.stored);
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
    Maker maker = maker_of(conv);
    for (Algorithm algorithm : kAlgorithms) {
      maker.spec().algorithm = algorithm;
      check_graph(maker.spec(), {floats_of(q, conv.numbers.from)}, expected.data, describe(conv));
    }
  });
}

// ---- functions of two integers, and of one -----------------------------------------------------------------------

TEST(quantized_graph_binary) {
  test.repeat(400, [](Rng& rng) {
    using Kind = reference::QuantizedBinary;
    constexpr Kind kKinds[]{Kind::kAdd, Kind::kMul, Kind::kSub};
    constexpr const char* kNames[]{"add", "mul", "sub"};
    const std::size_t kind = rng.between(0, 2), form = rng.between(0, 3);
    reference::Dims dims = small_dims(rng), other = dims;
    if (form == 1) other = {rng.chance(0.5) ? std::size_t{1} : dims.n, dims.c, 1, 1};
    if (form == 2) other = {1, 1, 1, 1};
    if (form == 3) other = {1, dims.c, 1, 1};
    const bool is_constant = form == 2 || form == 3, swapped = other.elements() != dims.elements() && rng.chance(0.4);
    const Quantization qa = random_quantization(rng), qb = random_quantization(rng);
    const double about = kKinds[kind] == Kind::kMul ? static_cast<double>(qa.scale() * qb.scale()) * 255 * 255
                                                    : static_cast<double>(qa.scale() + qb.scale()) * 255;
    const Quantization to(about / rng.uniform(100, 2000), static_cast<double>(random_quantization(rng).zero_point()),
                          "a test");
    const reference::Tensor a = random_integers(rng, dims), b = random_integers(rng, other);
    // The operand that changes slowly is the second one, except in a difference.
    reference::Tensor expected;
    if (swapped && kKinds[kind] == Kind::kSub) {
      reference::Tensor spread(dims);
      reference::for_each_element(dims, [&](auto n, auto c, auto y, auto x) {
        const auto index = [](std::size_t i, std::size_t count) { return count == 1 ? 0 : i; };
        spread.at(n, c, y, x) = b.at(index(n, other.n), index(c, other.c), index(y, other.h), index(x, other.w));
      });
      expected = reference::quantized_binary(kKinds[kind], spread, plain(qb), a, plain(qa), plain(to));
    } else {
      expected = reference::quantized_binary(kKinds[kind], a, plain(qa), b, plain(qb), plain(to));
    }
    Maker maker;
    const ValueId x = maker.input(dims_of(dims));
    ValueId y = is_constant ? kNoValue : maker.input(dims_of(other));
    std::vector<std::uint8_t> table;
    std::optional<Quantization> stored = to;
    if (is_constant) {
      std::vector<std::uint8_t> bytes;
      for (double value : b.data) bytes.push_back(static_cast<std::uint8_t>(value));
      y = maker.constant(Dtype::kUint8, form == 2 ? Dims{1} : dims_of(other), bytes);
    }
    ValueId entries = kNoValue;
    if (rng.chance(0.3)) {
      for (int i = 0; i < 256; ++i) table.push_back(static_cast<std::uint8_t>(rng.between(0, 255)));
      entries = maker.constant(Dtype::kUint8, {256}, table);
      for (double& value : expected.data) value = table[static_cast<std::size_t>(value)];
      stored = random_quantization(rng);
    }
    const ValueId p = maker.quantize(x, qa), q = is_constant ? y : maker.quantize(y, qb);
    Attributes attributes;
    attributes.set("kind", std::string(kNames[kind]));
    Maker::set(attributes, swapped ? "b" : "a", qa);
    Maker::set(attributes, swapped ? "a" : "b", qb);
    Maker::set(attributes, "output", to);
    if (!table.empty()) Maker::set(attributes, "table", *stored);
    const ValueId result = maker.node("quantizedBinary", {swapped ? q : p, swapped ? p : q, entries},
                                      {Dtype::kUint8, dims_of(dims)}, attributes);
    maker.finish(result, dims_of(dims), stored);
    std::vector<Floats> inputs{floats_of(a, qa)};
    if (!is_constant) inputs.push_back(floats_of(b, qb));
    check_graph(maker.spec(), inputs, reference::dequantize(expected, plain(*stored)).data,
                text_of(kNames[kind], ", ", dims, ", ", other, swapped ? ", swapped" : "",
                        is_constant ? ", constant" : "", table.empty() ? "" : ", table"));
  });
}

TEST(quantized_graph_table) {
  test.repeat(200, [](Rng& rng) {
    const reference::Dims dims = small_dims(rng);
    const Quantization from = random_quantization(rng), to = random_quantization(rng);
    const reference::Tensor q = random_integers(rng, dims);
    std::vector<std::uint8_t> table;
    for (int i = 0; i < 256; ++i) table.push_back(static_cast<std::uint8_t>(rng.between(0, 255)));
    reference::Tensor expected = q;
    for (double& value : expected.data) value = table[static_cast<std::size_t>(value)];
    Maker maker;
    const ValueId x = maker.input(dims_of(dims)), entries = maker.constant(Dtype::kUint8, {256}, table);
    Attributes attributes;
    Maker::set(attributes, "input", from);
    Maker::set(attributes, "output", to);
    const ValueId y =
        maker.node("quantizedTable", {maker.quantize(x, from), entries}, {Dtype::kUint8, dims_of(dims)}, attributes);
    maker.finish(y, dims_of(dims), to);
    check_graph(maker.spec(), {floats_of(q, from)}, reference::dequantize(expected, plain(to)).data, text_of(dims));
  });
}

// ---- pools -------------------------------------------------------------------------------------------------------

TEST(quantized_graph_pools) {
  test.repeat(400, [](Rng& rng) {
    reference::Dims dims = small_dims(rng);
    const Quantization from = random_quantization(rng);
    reference::QuantizedPool pool{};
    pool.is_max = rng.chance(0.5);
    const Quantization to = pool.is_max ? from : random_quantization(rng);
    pool.from = plain(from);
    pool.to = plain(to);
    std::vector<double> pads(4), size;
    std::size_t axis = 0;
    for (Window::Side* side : {&pool.y, &pool.x}) {
      *side = {rng.between(1, 5), rng.between(1, 3), 0, pool.is_max ? rng.between(1, 2) : std::size_t{1}};
      side->before = rng.between(0, side->kernel - 1);
      const std::size_t after = rng.between(0, side->kernel - 1), reach = side->dilation * (side->kernel - 1);
      std::size_t& length = axis == 0 ? dims.h : dims.w;
      if (length + side->before + after <= reach) length += reach;
      pads[axis] = static_cast<double>(side->before);
      pads[axis + 2] = static_cast<double>(after);
      size.push_back(static_cast<double>((length + side->before + after - reach - 1) / side->stride + 1));
      ++axis;
    }
    pool.out = {dims.n, dims.c, static_cast<std::size_t>(size[0]), static_cast<std::size_t>(size[1])};
    const reference::Tensor q = random_integers(rng, dims);
    Attributes attributes;
    const auto pair = [&](const char* name, std::size_t Window::Side::* member) {
      attributes.set(name,
                     std::vector<double>{static_cast<double>(pool.y.*member), static_cast<double>(pool.x.*member)});
    };
    pair("kernel", &Window::Side::kernel);
    pair("strides", &Window::Side::stride);
    pair("dilations", &Window::Side::dilation);
    attributes.set("pads", pads);
    attributes.set("outputSize", size);
    Maker::set(attributes, "input", from);
    Maker::set(attributes, "output", to);
    Maker maker;
    const ValueId x = maker.input(dims_of(dims));
    const ValueId y = maker.node(pool.is_max ? "maxPool" : "quantizedAveragePool", {maker.quantize(x, from)},
                                 {Dtype::kUint8, dims_of(pool.out)}, attributes);
    maker.finish(y, dims_of(pool.out), to);
    check_graph(maker.spec(), {floats_of(q, from)},
                reference::dequantize(reference::quantized_pool(q, pool), plain(to)).data,
                text_of(pool.is_max ? "max " : "average ", dims, " -> ", pool.out));
  });
}

// ---- moves -------------------------------------------------------------------------------------------------------

// A node with one map of integers, whose output reads the element that `source` returns, or zero if that is null.
void check_move(Rng& rng, const std::string& op, const reference::Dims& in, const reference::Dims& out,
                const Attributes& attributes,
                const std::function<std::optional<double>(const reference::Tensor&, std::size_t, std::size_t,
                                                          std::size_t, std::size_t)>& source) {
  const Quantization as = random_quantization(rng);
  const reference::Tensor q = random_integers(rng, in);
  reference::Tensor expected(out);
  reference::for_each_element(out, [&](auto n, auto c, auto y, auto x) {
    expected.at(n, c, y, x) = source(q, n, c, y, x).value_or(as.zero_point());
  });
  Maker maker;
  const ValueId x = maker.input(dims_of(in));
  const ValueId y = maker.node(op, {maker.quantize(x, as)}, {Dtype::kUint8, dims_of(out)}, attributes);
  maker.finish(y, dims_of(out), as);
  check_graph(maker.spec(), {floats_of(q, as)}, reference::dequantize(expected, plain(as)).data,
              text_of(op, ", ", in, " -> ", out));
}

using List = std::vector<double>;

TEST(quantized_graph_moves) {
  test.repeat(200, [](Rng& rng) {
    const reference::Dims in = small_dims(rng, 12);
    const std::size_t lengths[]{in.n, in.c, in.h, in.w};
    {
      std::size_t starts[4], sizes[4];
      List first, size, step;
      for (std::size_t axis = 0; axis < 4; ++axis) {
        starts[axis] = rng.between(0, lengths[axis] - 1);
        sizes[axis] = rng.between(1, lengths[axis] - starts[axis]);
        first.push_back(static_cast<double>(starts[axis]));
        size.push_back(static_cast<double>(sizes[axis]));
        step.push_back(1);
      }
      Attributes attributes;
      attributes.set("starts", first);
      attributes.set("sizes", size);
      attributes.set("steps", step);
      check_move(rng, "slice", in, {sizes[0], sizes[1], sizes[2], sizes[3]}, attributes,
                 [&](const auto& q, auto n, auto c, auto y, auto x) {
                   return q.at(starts[0] + n, starts[1] + c, starts[2] + y, starts[3] + x);
                 });
    }
    {
      List before, after;
      std::size_t pads[4], sizes[4];
      for (std::size_t axis = 0; axis < 4; ++axis) {
        pads[axis] = rng.chance(0.5) ? 0 : rng.between(0, 3);
        const std::size_t behind = rng.chance(0.5) ? 0 : rng.between(0, 3);
        before.push_back(static_cast<double>(pads[axis]));
        after.push_back(static_cast<double>(behind));
        sizes[axis] = lengths[axis] + pads[axis] + behind;
      }
      Attributes attributes;
      attributes.set("mode", std::string("constant"));
      attributes.set("before", before);
      attributes.set("after", after);
      check_move(rng, "pad", in, {sizes[0], sizes[1], sizes[2], sizes[3]}, attributes,
                 [&](const auto& q, auto n, auto c, auto y, auto x) -> std::optional<double> {
                   const std::size_t from[]{n - pads[0], c - pads[1], y - pads[2], x - pads[3]};
                   for (std::size_t axis = 0; axis < 4; ++axis)
                     if (from[axis] >= lengths[axis]) return std::nullopt;
                   return q.at(from[0], from[1], from[2], from[3]);
                 });
    }
    {
      const std::size_t factor = rng.between(1, 4);
      const double scale = static_cast<double>(factor);
      const reference::Dims out{in.n, in.c, in.h * factor, in.w * factor};
      Attributes attributes;
      attributes.set("mode", std::string("nearest"));
      attributes.set("coordinateMode", std::string("asymmetric"));
      attributes.set("nearestMode", std::string("floor"));
      attributes.set("dims", List{static_cast<double>(out.n), static_cast<double>(out.c), static_cast<double>(out.h),
                                  static_cast<double>(out.w)});
      attributes.set("scales", List{1, 1, scale, scale});
      check_move(rng, "resize", in, out, attributes,
                 [&](const auto& q, auto n, auto c, auto y, auto x) { return q.at(n, c, y / factor, x / factor); });
    }
  });
}

// Splits a map and concatenates the parts in another order.
TEST(quantized_graph_concat_and_split) {
  test.repeat(200, [](Rng& rng) {
    reference::Dims dims = small_dims(rng);
    dims.c += 1;
    const std::size_t cut = rng.between(1, dims.c - 1);
    const Quantization as = random_quantization(rng);
    const reference::Tensor q = random_integers(rng, dims);
    reference::Tensor expected(dims);
    reference::for_each_element(dims, [&](auto n, auto c, auto y, auto x) {
      expected.at(n, c, y, x) = q.at(n, c < dims.c - cut ? cut + c : c - (dims.c - cut), y, x);
    });
    Maker maker;
    const ValueId x = maker.input(dims_of(dims)), whole = maker.quantize(x, as);
    Attributes split, concat;
    split.set("axis", 1.0);
    split.set("sizes", List{static_cast<double>(cut), static_cast<double>(dims.c - cut)});
    concat.set("axis", 1.0);
    GraphSpec& spec = maker.spec();
    spec.nodes.push_back(
        {"split",
         "split",
         {whole},
         {{Dtype::kUint8, {dims.n, cut, dims.h, dims.w}}, {Dtype::kUint8, {dims.n, dims.c - cut, dims.h, dims.w}}},
         split});
    spec.nodes.push_back({"concat", "concat", {whole + 2, whole + 1}, {{Dtype::kUint8, dims_of(dims)}}, concat});
    Attributes dequantize;
    Maker::set(dequantize, "input", as);
    spec.nodes.push_back({"dequantize", "last", {whole + 3}, {{Dtype::kFloat32, dims_of(dims)}}, dequantize});
    spec.outputs = {whole + 4};
    check_graph(spec, {floats_of(q, as)}, reference::dequantize(expected, plain(as)).data, text_of(dims, ", ", cut));
  });
}

// ---- refusals ----------------------------------------------------------------------------------------------------

std::string refusal(const std::function<void(GraphSpec&)>& lie) {
  Rng rng(7);
  Conv conv = random_conv(rng);
  while (conv.op.table.empty() || conv.in.c <= 4) conv = random_conv(rng);
  Maker maker = maker_of(conv);
  lie(maker.spec());
  return code_of([&] { const GraphProgram program(maker.spec()); });
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
      {"result of integers", [](GraphSpec& spec) { spec.outputs[0] -= 1; }},
      {"integers where floats belong", [](GraphSpec& spec) { spec.nodes[2].op = "globalPool"; }},
  };
  for (const auto& [what, lie] : lies) CHECK(refusal(lie) != "no error", what);
}

}  // namespace
}  // namespace qarepvgg::test
