// Other ops on integers as nodes of a graph: the bits of the reference on every instruction set, for any number of
// threads and images.
#include "test/quantized_graph.h"

namespace qarepvgg::test {
namespace {

using Window = reference::QuantizedWindow;

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
    QuantizedMaker maker;
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
    set_quantization(attributes, swapped ? "b" : "a", qa);
    set_quantization(attributes, swapped ? "a" : "b", qb);
    set_quantization(attributes, "output", to);
    if (!table.empty()) set_quantization(attributes, "table", *stored);
    const ValueId result = maker.node("quantizedBinary", {swapped ? q : p, swapped ? p : q, entries},
                                      {Dtype::kUint8, dims_of(dims)}, attributes);
    maker.set_output(result, dims_of(dims), stored);
    std::vector<Floats> inputs{floats_of(a, qa)};
    if (!is_constant) inputs.push_back(floats_of(b, qb));
    check_graph(maker.finish(), inputs, reference::dequantize(expected, plain(*stored)).data,
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
    QuantizedMaker maker;
    const ValueId x = maker.input(dims_of(dims)), entries = maker.constant(Dtype::kUint8, {256}, table);
    Attributes attributes;
    set_quantization(attributes, "input", from);
    set_quantization(attributes, "output", to);
    const ValueId y =
        maker.node("quantizedTable", {maker.quantize(x, from), entries}, {Dtype::kUint8, dims_of(dims)}, attributes);
    maker.set_output(y, dims_of(dims), to);
    check_graph(maker.finish(), {floats_of(q, from)}, reference::dequantize(expected, plain(to)).data, text_of(dims));
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
    std::vector<double> size;
    std::vector<Side> sides;
    for (Window::Side* side : {&pool.y, &pool.x}) {
      *side = {rng.between(1, 5), rng.between(1, 3), 0, pool.is_max ? rng.between(1, 2) : std::size_t{1}};
      side->before = rng.between(0, side->kernel - 1);
      const std::size_t after = rng.between(0, side->kernel - 1), reach = side->dilation * (side->kernel - 1);
      std::size_t& length = sides.empty() ? dims.h : dims.w;
      if (length + side->before + after <= reach) length += reach;
      sides.push_back({side->kernel, side->stride, side->before, after, side->dilation});
      size.push_back(static_cast<double>(sides.back().positions(length)));
    }
    pool.out = {dims.n, dims.c, static_cast<std::size_t>(size[0]), static_cast<std::size_t>(size[1])};
    const reference::Tensor q = random_integers(rng, dims);
    Attributes attributes = window_attributes({sides[0], sides[1]});
    attributes.set("outputSize", size);
    set_quantization(attributes, "input", from);
    set_quantization(attributes, "output", to);
    QuantizedMaker maker;
    const ValueId x = maker.input(dims_of(dims));
    const ValueId y = maker.node(pool.is_max ? "maxPool" : "quantizedAveragePool", {maker.quantize(x, from)},
                                 {Dtype::kUint8, dims_of(pool.out)}, attributes);
    maker.set_output(y, dims_of(pool.out), to);
    check_graph(maker.finish(), {floats_of(q, from)},
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
  QuantizedMaker maker;
  const ValueId x = maker.input(dims_of(in));
  const ValueId y = maker.node(op, {maker.quantize(x, as)}, {Dtype::kUint8, dims_of(out)}, attributes);
  maker.set_output(y, dims_of(out), as);
  check_graph(maker.finish(), {floats_of(q, as)}, reference::dequantize(expected, plain(as)).data,
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

// Bytes of a map are transposed as a tensor, and become a map again.
TEST(quantized_graph_tensors_of_bytes) {
  test.repeat(200, [](Rng& rng) {
    const reference::Dims in = rng.chance(0.2) ? reference::Dims{3, 20, 1, 1} : small_dims(rng, 40);
    const reference::Dims out{in.n, in.w, in.h, in.c};
    const Quantization as = random_quantization(rng);
    const reference::Tensor q = random_integers(rng, in);
    reference::Tensor expected(out);
    reference::for_each_element(out,
                                [&](auto n, auto c, auto y, auto x) { expected.at(n, c, y, x) = q.at(n, x, y, c); });
    Attributes turned, scale;
    turned.set("perm", List{0, 3, 2, 1});
    scale.set("outputScale", as.scale());
    scale.set("outputZeroPoint", static_cast<double>(as.zero_point()));
    QuantizedMaker maker;
    const ValueId x = maker.input(dims_of(in));
    const TensorType type{Dtype::kUint8, dims_of(out)};
    const ValueId bytes = maker.node("transpose", {maker.quantize(x, as)}, type, turned);
    maker.set_output(maker.node("integerMap", {bytes}, type, scale), dims_of(out), as);
    check_graph(maker.finish(), {floats_of(q, as)}, reference::dequantize(expected, plain(as)).data,
                text_of("transposed ", in));
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
    QuantizedMaker maker;
    const ValueId x = maker.input(dims_of(dims)), whole = maker.quantize(x, as);
    Attributes split, concat;
    split.set("axis", 1.0);
    split.set("sizes", List{static_cast<double>(cut), static_cast<double>(dims.c - cut)});
    concat.set("axis", 1.0);
    GraphSpec& spec = maker.finish();
    spec.nodes.push_back(
        {"split",
         "split",
         {whole},
         {{Dtype::kUint8, {dims.n, cut, dims.h, dims.w}}, {Dtype::kUint8, {dims.n, dims.c - cut, dims.h, dims.w}}},
         split});
    spec.nodes.push_back({"concat", "concat", {whole + 2, whole + 1}, {{Dtype::kUint8, dims_of(dims)}}, concat});
    Attributes dequantize;
    set_quantization(dequantize, "input", as);
    spec.nodes.push_back({"dequantize", "last", {whole + 3}, {{Dtype::kFloat32, dims_of(dims)}}, dequantize});
    spec.outputs = {whole + 4};
    check_graph(spec, {floats_of(q, as)}, reference::dequantize(expected, plain(as)).data, text_of(dims, ", ", cut));
  });
}

}  // namespace
}  // namespace qarepvgg::test
