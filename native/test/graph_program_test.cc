// Graphs compiled for inference: convolutions of all kinds against plain loops in double, on every instruction set and
// for any size of team. And inconsistent specs, which the program must refuse itself, without relying on TypeScript.
#include <cmath>
#include <limits>

#include "ops/conv_taps.h"
#include "program/train/program.h"
#include "test/graph_maker.h"
#include "test/harness.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// ---- convolutions ------------------------------------------------------------------------------------------------

struct Conv {
  MapShape in, out;
  std::size_t groups;
  Window window;
  bool transposed, has_bias, has_addend;
  Floats weight, bias;
  std::string activation;
  double low;  // of a clip
  double scale, shift;
};

double activated(const Conv& conv, double value) {
  if (conv.activation == "relu") value = std::max(value, 0.0);
  if (conv.activation == "clip") value = std::clamp(value, conv.low, 0.5);
  if (conv.activation == "sigmoid") value = 1 / (1 + std::exp(-value));
  return value * conv.scale + conv.shift;
}

std::vector<double> reference_of(const Conv& conv, const Floats& x, const Floats& addend) {
  const MapShape &in = conv.in, &out = conv.out;
  const std::size_t depth = in.c / conv.groups, width = out.c / conv.groups, taps = conv.window.taps();
  std::vector<double> y(out.elements());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t channel = i / (out.h * out.w) % out.c;
    y[i] = conv.has_bias ? static_cast<double>(conv.bias[channel]) : 0;
    if (conv.has_addend) y[i] += static_cast<double>(addend[i]);
  }
  // Every product of a pixel of the small side with a tap goes to, or comes from, a pixel of the large side.
  const MapShape &small = conv.transposed ? in : out, &large = conv.transposed ? out : in;
  for (std::size_t n = 0; n < in.n; ++n)
    for (std::size_t ci = 0; ci < in.c; ++ci)
      for (std::size_t o = 0; o < width; ++o) {
        const std::size_t group = ci / depth, co = group * width + o;
        const float* weight = &conv.weight[(conv.transposed ? ci * width + o : co * depth + ci % depth) * taps];
        for (std::size_t p = 0; p < small.h * small.w; ++p)
          for (std::size_t t = 0; t < taps; ++t) {
            const Side &sy = conv.window.y, &sx = conv.window.x;
            const std::size_t ly = p / small.w * sy.stride + t / sx.kernel * sy.dilation - sy.before;
            const std::size_t lx = p % small.w * sx.stride + t % sx.kernel * sx.dilation - sx.before;
            if (ly >= large.h || lx >= large.w) continue;
            const std::size_t at = ly * large.w + lx;
            const std::size_t from = (n * in.c + ci) * in.h * in.w + (conv.transposed ? p : at);
            const std::size_t to = (n * out.c + co) * out.h * out.w + (conv.transposed ? at : p);
            y[to] += static_cast<double>(x[from]) * static_cast<double>(weight[t]);
          }
      }
  for (double& value : y) value = activated(conv, value);
  return y;
}

// Makes the image or the pads large enough for an output, and sets the output's sides.
void fit_sides(Conv& conv) {
  const auto fit = [&](Side& side, std::size_t& length, std::size_t& result) {
    if (conv.transposed) {
      const std::size_t full = (length - 1) * side.stride + side.reach() + 1;
      if (full <= side.before + side.after) side.before = side.after = 0;
      result = full - side.before - side.after;
    } else {
      if (length + side.before + side.after <= side.reach()) length += side.reach();
      result = side.positions(length);
    }
  };
  fit(conv.window.y, conv.in.h, conv.out.h);
  fit(conv.window.x, conv.in.w, conv.out.w);
}

Conv random_conv(Rng& rng) {
  Conv conv{};
  const auto draw = [&] { return rng.between(1, rng.chance(0.5) ? 6 : 40); };
  const std::size_t shape = rng.between(0, 5);
  const std::size_t channels = draw(), sides[]{1, 2, 3, 3, 5, 7};
  conv.in = {rng.between(1, 2), channels, rng.between(1, 20), rng.between(1, 20)};
  conv.out = {conv.in.n, draw(), 0, 0};
  conv.groups = 1;
  for (Side* side : {&conv.window.y, &conv.window.x})
    *side = {rng.pick(sides), rng.between(1, 2), rng.between(0, 2), rng.between(0, 2), rng.between(1, 2)};
  if (shape == 1) {  // depthwise
    conv.groups = conv.out.c = channels;
    const std::size_t kernels[]{3, 5, 7};
    const Side side{rng.pick(kernels), rng.between(1, 2), rng.between(0, 6), rng.between(0, 6), rng.between(1, 3)};
    if (rng.chance(0.7)) conv.window = {side, side};
    if (rng.chance(0.2)) {  // of a sequence
      conv.in.h = 1;
      conv.in.w = rng.between(1, 200);
      conv.window = {
          {}, {rng.between(1, 40), rng.between(1, 3), rng.between(0, 20), rng.between(0, 20), rng.between(1, 3)}};
    }
  }
  if (shape == 2) {  // Winograd's
    const std::size_t pad = rng.between(0, 1);
    const Side side{3, rng.between(1, 2), pad, pad, 1};
    conv.window = {side, side};
  }
  if (shape == 3) conv.in.c = rng.between(1, 4);  // read as an image
  if (shape == 4) {
    conv.transposed = true;
    if (rng.chance(0.5)) {  // blocks that do not overlap
      const Side side{2, 2, 0, 0, 1};
      conv.window = {side, side};
      conv.out.c = rng.between(1, 4);
    }
  }
  if (shape == 5) {  // to few channels
    conv.in.c = rng.between(1, 40);
    conv.out.c = rng.between(1, 3);
    conv.window.x.kernel = rng.between(2, 9);
  }
  fit_sides(conv);
  conv.has_bias = rng.chance(0.7);
  conv.has_addend = rng.chance(0.3);
  conv.weight = random_floats(rng, conv.in.c * conv.out.c / conv.groups * conv.window.taps());
  conv.bias = random_floats(rng, conv.out.c);
  const char* kinds[]{"", "relu", "clip", "sigmoid"};
  conv.activation = rng.pick(kinds);
  const double lows[]{0, -0.25, 0.125};  // the last one does not leave zero as it is
  conv.low = rng.pick(lows);
  conv.scale = !conv.activation.empty() && rng.chance(0.3) ? 0.75 : 1;
  conv.shift = !conv.activation.empty() && rng.chance(0.3) ? -0.25 : 0;
  return conv;
}

std::string describe(const Conv& conv) {
  const auto side = [](const Side& s) {
    return text_of(s.kernel, "/", s.stride, " pads ", s.before, " ", s.after, " dilation ", s.dilation);
  };
  return text_of(conv.transposed ? "transposed " : "", qarepvgg::text_of({conv.in.n, conv.in.c, conv.in.h, conv.in.w}),
                 " -> ", conv.out.c, ", groups ", conv.groups, ", ", side(conv.window.y), ", ", side(conv.window.x),
                 ", ", conv.activation, conv.has_bias ? " bias" : "", conv.has_addend ? " addend" : "");
}

Dims dims_of(const MapShape& shape) { return {shape.n, shape.c, shape.h, shape.w}; }

// Builds a graph of one convolution with inputs x and addend. With `chained`, its output has a second reader.
Maker maker_of(const Conv& conv, Algorithm algorithm, int threads) {
  Maker maker;
  maker.input(dims_of(conv.in));
  maker.input(dims_of(conv.out));
  const std::size_t height = conv.window.y.kernel, width = conv.window.x.kernel;
  const Dims weight_dims = conv.transposed ? Dims{conv.in.c, conv.out.c / conv.groups, height, width}
                                           : Dims{conv.out.c, conv.in.c / conv.groups, height, width};
  const ValueId weight = maker.constant(weight_dims, conv.weight), bias = maker.constant({conv.out.c}, conv.bias);
  Attributes attributes = window_attributes(conv.window, conv.groups);
  if (conv.transposed) attributes.set("outputPadding", std::vector<double>{0, 0});
  if (!conv.activation.empty()) {
    attributes.set("activation", conv.activation);
    attributes.set("activation.low", conv.low);
    attributes.set("activation.high", 0.5);
    attributes.set("activation.scale", conv.scale);
    attributes.set("activation.shift", conv.shift);
  }
  maker.spec.outputs = {
      maker.node(conv.transposed ? "convTranspose" : "conv",
                 {0, weight, conv.has_bias ? bias : kNoValue, conv.has_addend ? ValueId{1} : kNoValue},
                 dims_of(conv.out), attributes)};
  maker.spec.algorithm = algorithm;
  maker.spec.threads = threads;
  return maker;
}

void check_close(const Conv& conv, const Floats& y, const std::vector<double>& expected, const std::string& what) {
  const double terms = static_cast<double>(conv.weight.size() / conv.out.c + 2);
  for (std::size_t i = 0; i < y.size(); ++i)
    CHECK(std::fabs(static_cast<double>(y[i]) - expected[i]) < 2e-6 * terms + 1e-5, what, ", ", i, ": ", y[i],
          ", expected ", expected[i], ", ", describe(conv));
}

TEST(graph_convolutions) {
  test.repeat(1500, [](Rng& rng) {
    const Conv conv = random_conv(rng);
    const Floats x = random_floats(rng, conv.in.elements()), addend = random_floats(rng, conv.out.elements());
    const std::vector<double> expected = reference_of(conv, x, addend);
    constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};
    for (const KernelTable* kernels : float_kernels()) {
      const UseKernels use(*kernels);
      for (Algorithm algorithm : kAlgorithms) {
        Floats first;
        for (int threads : {1, 2, 3}) {
          GraphProgram program(maker_of(conv, algorithm, threads).finish());
          const Floats y = run(program, {x, addend});
          if (first.empty()) {
            first = y;
            check_close(conv, y, expected, kernels->isa);
          }
          CHECK(y == first, kernels->isa, ", ", threads, " threads, ", describe(conv));
        }
      }
    }
  });
}

// The size decides where the last kernel ends, and so how far it reaches beyond the image.
TEST(graph_convolutions_of_other_sizes) {
  test.repeat(600, [](Rng& rng) {
    Conv conv = random_conv(rng);
    while (conv.transposed) conv = random_conv(rng);  // some of these are made for one size only
    if (rng.chance(0.5)) {
      conv.window.y.before = conv.window.x.before = 0;
      fit_sides(conv);
    }
    const Algorithm algorithm = rng.chance(0.5) ? Algorithm::kAuto : Algorithm::kGemm;
    GraphProgram program(maker_of(conv, algorithm, 2).finish());
    for (int sizes = 0; sizes < 4; ++sizes) {
      Conv other = conv;
      other.in.h += rng.between(0, 3);
      other.in.w += rng.between(0, 3);
      fit_sides(other);
      const Floats x = random_floats(rng, other.in.elements()), addend = random_floats(rng, other.out.elements());
      const Floats y = run(program, {dims_of(other.in), dims_of(other.out)}, {x, addend});
      check_close(other, y, reference_of(other, x, addend), "a size that the program was not made for");
    }
  });
}

// Numbers that are not finite in one run must not reach the next one through padding lanes or halos.
TEST(graph_forgets_what_is_not_finite) {
  test.repeat(200, [](Rng& rng) {
    Conv conv = random_conv(rng);
    conv.has_addend = false;
    const Floats x = random_floats(rng, conv.in.elements()), addend(conv.out.elements());
    Maker maker = maker_of(conv, Algorithm::kAuto, 1);
    // A second convolution reads what the first has stored, in whole vectors.
    maker.spec.nodes.clear();
    const ValueId weight =
        maker.constant({conv.out.c, conv.out.c, 3, 3}, random_floats(rng, conv.out.c * conv.out.c * 9));
    maker.spec.nodes = maker_of(conv, Algorithm::kAuto, 1).spec.nodes;
    maker.spec.outputs = {
        maker.node("conv", {weight + 1, weight, kNoValue}, dims_of(conv.out), square_window(3, 1, 1))};
    GraphProgram program(maker.finish());
    const Floats clean = run(program, {x, addend});
    Floats dirty = x;
    for (float& value : dirty) value = std::numeric_limits<float>::quiet_NaN();
    run(program, {dirty, addend});
    CHECK(run(program, {x, addend}) == clean, conv.in.c, " -> ", conv.out.c, " channels");
  });
}

// ---- specs that lie ----------------------------------------------------------------------------------------------

Maker plain_conv() {
  Rng rng(1);
  Conv conv{};
  conv.in = {1, 8, 6, 6};
  conv.out = {1, 4, 6, 6};
  conv.groups = 1;
  conv.window = {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}};
  conv.has_bias = true;
  conv.weight = random_floats(rng, 8 * 4 * 9);
  conv.bias = random_floats(rng, 4);
  conv.scale = 1;
  return maker_of(conv, Algorithm::kAuto, 1);
}

// The code of the error, which must be one of ours.
std::string refusal(const std::function<void(GraphSpec&)>& lie) {
  Maker maker = plain_conv();
  lie(maker.finish());
  return code_of([&] { const GraphProgram program(maker.spec); });
}

TEST(graph_spec_is_not_trusted) {
  using List = std::vector<double>;
  const auto attribute = [](const char* name, Attributes::Value value) {
    return [=](GraphSpec& spec) { spec.nodes[0].attributes.set(name, value); };
  };
  CHECK_EQUAL(refusal([](GraphSpec&) {}), "no error", "the true one");
  const double huge = 9007199254740992.0;
  const std::pair<const char*, std::function<void(GraphSpec&)>> lies[]{
      {"kernel of 0", attribute("kernel", List{0, 3})},
      {"kernel beyond the weight", attribute("kernel", List{5, 5})},
      {"huge kernel", attribute("kernel", List{huge, huge})},
      {"negative stride", attribute("strides", List{-1, 1})},
      {"stride of 0", attribute("strides", List{0, 1})},
      {"one stride", attribute("strides", List{1})},
      {"fractional pad", attribute("pads", List{0.5, 0, 0, 0})},
      {"huge pad", attribute("pads", List{huge, 1, 1, 1})},
      {"NaN", attribute("dilations", List{std::nan(""), 1})},
      {"dilation beyond the image", attribute("dilations", List{60, 60})},
      {"groups of 0", attribute("group", 0.0)},
      {"groups that divide nothing", attribute("group", 3.0)},
      {"text for a number", attribute("group", std::string("1"))},
      {"unknown activation", attribute("activation", std::string("swoosh"))},
      {"unknown op", [](GraphSpec& spec) { spec.nodes[0].op = "magic"; }},
      {"operand of a later node", [](GraphSpec& spec) { spec.nodes[0].inputs[0] = 4; }},
      {"operand that is not there", [](GraphSpec& spec) { spec.nodes[0].inputs[0] = 1000; }},
      {"absent operand", [](GraphSpec& spec) { spec.nodes[0].inputs[0] = kNoValue; }},
      {"absent weight", [](GraphSpec& spec) { spec.nodes[0].inputs[1] = kNoValue; }},
      {"too few operands", [](GraphSpec& spec) { spec.nodes[0].inputs.resize(1); }},
      {"too many operands", [](GraphSpec& spec) { spec.nodes[0].inputs.resize(5, 0); }},
      {"weight that is computed", [](GraphSpec& spec) { spec.nodes[0].inputs[1] = 0; }},
      {"weight of other dims", [](GraphSpec& spec) { spec.constants[0].type.dims = {4, 8, 9}; }},
      {"weight of integers", [](GraphSpec& spec) { spec.constants[0].type.type = Dtype::kInt32; }},
      {"bias of other dims", [](GraphSpec& spec) { spec.constants[1].type.dims = {5}; }},
      {"constant without elements", [](GraphSpec& spec) { spec.constants[0].data = nullptr; }},
      {"input of rank 3", [](GraphSpec& spec) { spec.inputs[0].dims = {8, 6, 6}; }},
      {"input without pixels", [](GraphSpec& spec) { spec.inputs[0].dims = {1, 8, 0, 6}; }},
      {"input of integers", [](GraphSpec& spec) { spec.inputs[0].type = Dtype::kInt64; }},
      {"input that overflows", [](GraphSpec& spec) { spec.inputs[0].dims = {1, 8, kMaxSize / 2, 6}; }},
      {"other result", [](GraphSpec& spec) { spec.nodes[0].outputs[0].dims = {1, 4, 7, 6}; }},
      {"no result", [](GraphSpec& spec) { spec.nodes[0].outputs.clear(); }},
      {"two results", [](GraphSpec& spec) { spec.nodes[0].outputs.push_back(spec.nodes[0].outputs[0]); }},
      {"output that is not there", [](GraphSpec& spec) { spec.outputs = {1000}; }},
      {"absent output", [](GraphSpec& spec) { spec.outputs = {kNoValue}; }},
      {"addend of other dims", [](GraphSpec& spec) { spec.nodes[0].inputs.push_back(0); }},
  };
  for (const auto& [what, lie] : lies) {
    const std::string code = refusal(lie);
    CHECK(code.rfind("ERR_", 0) == 0, what, ": ", code);
  }
}

// Any op, with operands and attributes of others.
TEST(graph_ops_survive_nonsense) {
  test.repeat(20000, [](Rng& rng) {
    const char* ops[]{
#define OP(name, make) name,
#define TRAINING_OP(name, train) name,
#define TRAINED_OP(name, make, train) name,
#include "program/ops/table.inc"
#undef OP
#undef TRAINING_OP
#undef TRAINED_OP
    };
    const char* names[]{"kernel", "strides", "pads",   "dilations", "group", "outputPadding", "outputSize", "axis",
                        "axes",   "sizes",   "starts", "steps",     "perm",  "dims",          "repeats",    "scales",
                        "before", "after",   "k",      "blocksize", "value", "keepDims",      "to"};
    const double numbers[]{0, 1, 1, 2, 2, 3, -1, 0.5, 65536, 4294967296.0, 9007199254740992.0, 1e300, std::nan("")};
    const char* kinds[]{"add", "mul", "max", "average", "relu", "clip", "sum", "nearest", "linear", "constant", "DCR"};
    const auto random_dims = [&] {
      Dims dims(rng.between(0, 5));
      for (std::size_t& dim : dims) dim = rng.between(rng.chance(0.05) ? 0 : 1, 5);
      return dims;
    };
    Maker maker;
    for (int i = 0; i < 2; ++i) maker.input(random_dims());
    const Dims constant = random_dims();
    maker.constant(constant, Floats(elements_of(constant), 1.0f));
    Attributes attributes;
    for (const char* name : names) {
      if (rng.chance(0.1)) continue;
      if (rng.chance(0.5)) {
        attributes.set(name, rng.pick(numbers));
      } else {
        std::vector<double> list(rng.between(0, 5));
        for (double& number : list)
          number = rng.chance(0.7) ? static_cast<double>(rng.between(0, 3)) : rng.pick(numbers);
        attributes.set(name, list);
      }
    }
    for (const char* name : {"kind", "mode", "activation"})
      if (rng.chance(0.8)) attributes.set(name, std::string(rng.pick(kinds)));
    std::vector<ValueId> inputs(rng.between(0, 4));
    for (ValueId& input : inputs) input = rng.chance(0.1) ? kNoValue : rng.between(0, 2);
    maker.spec.outputs = {maker.node(rng.pick(ops), inputs, random_dims(), attributes)};
    const std::string code = code_of([&] { const GraphProgram program(maker.finish()); });
    CHECK(code == "no error" || code.rfind("ERR_", 0) == 0, code);
    ProgramSpec training;
    training.input = {rng.between(1, 5), rng.between(1, 5), rng.between(1, 5), rng.between(1, 5)};
    training.tensors = {{0, random_dims()}, {1, random_dims()}};
    training.nodes = maker.spec.nodes;
    training.state_length = 5000;
    const std::string train_code = code_of([&] { const Program program(training); });
    CHECK(train_code == "no error" || train_code.rfind("ERR_", 0) == 0, train_code);
  });
}

// The first constant has two readers: its memory must last until the second one is packed.
TEST(graph_gives_back_constants) {
  constexpr std::size_t kChannels = 128;
  Rng rng(11);
  const Attributes plain = square_window(1, 1, 0);
  const Floats weight = random_floats(rng, kChannels * kChannels), image = random_floats(rng, kChannels * 4);
  const auto program_of = [&](AlignedBuffer& memory, bool owned) {
    const Dims dims{1, kChannels, 2, 2};
    Maker maker;
    maker.input(dims);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto* data = reinterpret_cast<const std::byte*>(memory.data() + i * memory.size() / 2);
      maker.spec.constants.push_back({Maker::type({kChannels, kChannels, 1, 1}), data, owned});
    }
    const ValueId first = maker.node("conv", {0, 1}, dims, plain);
    const ValueId second = maker.node("conv", {first, 2}, dims, plain);
    maker.spec.outputs.push_back(maker.node("conv", {second, 1}, dims, plain));
    return std::make_unique<GraphProgram>(maker.spec);
  };
  const auto memory_of = [&] {
    AlignedBuffer memory(2 * weight.size());
    for (std::size_t i = 0; i < 2; ++i) std::copy(weight.begin(), weight.end(), memory.data() + i * weight.size());
    return memory;
  };
  AlignedBuffer kept = memory_of(), given = memory_of();
  const Floats expected = run(*program_of(kept, false), {image}), received = run(*program_of(given, true), {image});
  CHECK(received == expected, "results differ");
  CHECK_EQUAL(kept.data()[weight.size() / 2], weight[weight.size() / 2], "not ours");
#ifdef __linux__
  for (std::size_t i = 0; i < 2; ++i)
    CHECK_EQUAL(given.data()[i * weight.size() + weight.size() / 2], 0.0f, "constant ", i);
#endif
}

}  // namespace
}  // namespace qarepvgg::test
