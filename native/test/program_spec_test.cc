// Invalid programs get the right error before memory is allocated. And how much memory valid ones take.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "program/train/program.h"
#include "test/attributes.h"
#include "test/harness.h"

namespace qarepvgg::test {
namespace {

// The tensors of all programs, in a state of 1000 floats. A batch norm reads five from kNorm on, a
// squeeze-and-excitation four from kGate on.
constexpr ValueId kWeight = 1, kBias = 2, kNorm = 3, kFactor = 8, kLarge = 9, kGate = 10, kTensorCount = 13;
const Dims kWeightDims{8, 8, 3, 3};

// The number of a value that is no tensor.
ValueId value(MapId map) { return map == 0 ? 0 : kTensorCount + map; }

NodeSpec node(const std::string& op, std::vector<ValueId> inputs, const Attributes& attributes = {}) {
  return {op, "a " + op, std::move(inputs), {}, attributes};
}

NodeSpec convolution(MapId input, std::size_t stride = 1, std::size_t padding = 1) {
  return node("conv", {value(input), kWeight, kBias}, square_window(3, stride, padding));
}

NodeSpec batch_norm(MapId input) {
  return node("batchNorm", {value(input), kNorm, kNorm + 1, kNorm + 2, kNorm + 3, kNorm + 4},
              batch_norm_attributes(1e-5, 0.1));
}

NodeSpec scale(MapId input) { return node("scale", {value(input), kFactor}); }

NodeSpec squeeze_excite(MapId input) {
  return node("squeezeExcite", {value(input), kGate, kGate + 1, kGate + 2, kGate + 3});
}

NodeSpec average_pool(MapId input) { return node("averagePool", {value(input)}, average_attributes()); }

NodeSpec global_pool(MapId input) { return node("globalPool", {value(input)}, global_average_attributes()); }

// A program with input [2, 8, 6, 6].
ProgramSpec program(std::vector<NodeSpec> nodes) {
  ProgramSpec spec;
  spec.input = {2, 8, 6, 6};
  spec.tensors = {{0, kWeightDims}, {576, {8}},        {0, {8}},    {8, {8}},  {16, {8}},         {24, {8}}, {32, {1}},
                  {5, {1}},         {0, {1, 8, 8, 8}}, {0, {2, 8}}, {16, {2}}, {0, {8, 2, 1, 1}}, {0, {8}}};
  spec.nodes = std::move(nodes);
  spec.state_length = 1000;
  spec.gradients = true;
  return spec;
}

std::string code_of_program(const ProgramSpec& spec) {
  return code_of([&] { Program made(spec); });
}

// `change` breaks the second node of convolution, node, scale, or a tensor. The input is so large that allocating it
// would cause another error, and the error names the node.
void check_bad(const char* expected, const std::string& what, const NodeSpec& good,
               const std::function<void(ProgramSpec&, NodeSpec&)>& change) {
  ProgramSpec spec = program({convolution(0), good, scale(2)});
  CHECK_EQUAL(code_of_program(spec), "no error", what, ", not yet wrong");
  change(spec, spec.nodes[1]);
  spec.input[2] = spec.input[3] = std::size_t{1} << 22;  // 2^48 floats
  try {
    Program made(spec);
    CHECK(false, "an error for ", what);
  } catch (const Error& error) {
    CHECK_EQUAL(std::string(error.code()), expected, what);
    CHECK(std::string(error.what()).find("node 'a ") == 0 || what == "a value that nothing reads", error.what());
  }
}
void check_bad_node(const char* expected, const std::string& what, const NodeSpec& good,
                    const std::function<void(NodeSpec&)>& change) {
  check_bad(expected, what, good, [&](ProgramSpec&, NodeSpec& changed) { change(changed); });
}
void check_bad_attribute(const char* expected, const NodeSpec& good, const char* name, const Attributes::Value& bad) {
  check_bad_node(expected, name, good, [&](NodeSpec& changed) { changed.attributes.set(name, bad); });
}

TEST(program_spec_bad_nodes) {
  const NodeSpec conv = convolution(1), norm = batch_norm(1), sum = node("sum", {value(1), value(1)}),
                 pool = average_pool(1);
  const auto twice = [](double number) { return std::vector<double>{number, number}; };
  check_bad_attribute(code::kInvalidArg, conv, "kernel", twice(0));
  check_bad_attribute(code::kShape, conv, "kernel", twice(5));
  check_bad_attribute(code::kShape, conv, "kernel", std::vector<double>{3, 1});
  check_bad_attribute(code::kInvalidArg, conv, "kernel", std::vector<double>{3});
  check_bad_attribute(code::kInvalidArg, conv, "strides", std::vector<double>{1, 2});
  check_bad_attribute(code::kInvalidArg, conv, "pads", std::vector<double>{1, 1, 1, 0});
  check_bad_attribute(code::kInvalidArg, conv, "dilations", std::string("one"));
  check_bad_attribute(code::kInvalidArg, conv, "identity", 1.0);
  check_bad_attribute(code::kInvalidArg, conv, "activation", std::string("sigmoid"));
  for (double group : {0.0, 3.0, 0.5, -1.0}) check_bad_attribute(code::kInvalidArg, conv, "group", group);
  for (double huge : {0.0, 129.0, 0x1p31, 0x1p32, 0x1p53 + 2, 0x1p64}) {
    check_bad_attribute(code::kInvalidArg, conv, "strides", twice(huge));
    if (huge > 0x1p16) check_bad_attribute(code::kInvalidArg, conv, "pads", std::vector<double>(4, huge));
    if (huge != 129) check_bad_attribute(code::kInvalidArg, conv, "dilations", twice(huge));
    check_bad_attribute(code::kInvalidArg, conv, "group", huge);
  }
  check_bad_node(code::kInvalidArg, "a kernel of 8 x 8", conv,
                 [](NodeSpec& bad) { bad = node("conv", {value(1), kLarge}, square_window(8, 1, 4)); });
  for (const char* name : {"kernel", "strides", "dilations"})
    check_bad_attribute(code::kInvalidArg, pool, name, twice(2));
  check_bad_attribute(code::kInvalidArg, pool, "pads", std::vector<double>(4, 0));
  check_bad_attribute(code::kInvalidArg, pool, "countIncludePad", 0.0);
  check_bad_attribute(code::kInvalidArg, pool, "outputSize", twice(3));
  check_bad_attribute(code::kInvalidArg, pool, "activation", std::string("relu"));
  check_bad_attribute(code::kInvalidArg, scale(1), "activation", std::string("relu"));
  check_bad_attribute(code::kInvalidArg, global_pool(1), "kind", std::string("max"));
  check_bad_attribute(code::kInvalidArg, norm, "epsilon", std::string("none"));

  check_bad_node(code::kModelIncompatible, "an op for inference", pool, [](NodeSpec& bad) { bad.op = "maxPool"; });
  check_bad_node(code::kModelIncompatible, "an unknown op", pool, [](NodeSpec& bad) { bad.op = "magic"; });
  for (const NodeSpec& good : {conv, norm, sum, pool, scale(1), global_pool(1), squeeze_excite(1)}) {
    const std::string& op = good.op;
    check_bad_node(code::kInvalidArg, "an output of its own, " + op, good,
                   [](NodeSpec& bad) { bad.inputs[0] = value(2); });
    check_bad_node(code::kInvalidArg, "a value of later, " + op, good, [](NodeSpec& bad) { bad.inputs[0] = value(3); });
    check_bad_node(code::kInvalidArg, "no operand, " + op, good, [](NodeSpec& bad) { bad.inputs.clear(); });
    check_bad_node(code::kInvalidArg, "a tensor as map, " + op, good, [](NodeSpec& bad) { bad.inputs[0] = kWeight; });
    check_bad_node(code::kInvalidArg, "an absent map, " + op, good, [](NodeSpec& bad) { bad.inputs[0] = kNoValue; });
    check_bad_node(code::kInvalidArg, "too many operands, " + op, good,
                   [](NodeSpec& bad) { bad.inputs.insert(bad.inputs.begin(), kMaxSummands, value(1)); });
    for (std::size_t i = 1; i < good.inputs.size() && op != "sum"; ++i)
      check_bad_node(i == 1 && op == "conv" ? code::kShape : code::kInvalidArg,
                     text_of("a map as tensor ", i, ", ", op), good, [&](NodeSpec& bad) { bad.inputs[i] = value(1); });
  }
  check_bad_node(code::kInvalidArg, "one summand", sum, [](NodeSpec& bad) { bad.inputs.pop_back(); });
  check_bad_node(code::kInvalidArg, "a value that nothing reads", conv, [](NodeSpec& bad) { bad.inputs[0] = 0; });
  check_bad_node(code::kInvalidArg, "two addends", norm,
                 [](NodeSpec& bad) { bad.inputs.insert(bad.inputs.end(), 2, value(1)); });
  check_bad_node(code::kInvalidArg, "ReLU behind an addend", norm, [](NodeSpec& bad) {
    bad.inputs.push_back(value(1));
    bad.attributes.set("activation", std::string("relu"));
  });
  check_bad_node(code::kInvalidArg, "no weight", conv, [](NodeSpec& bad) { bad.inputs[1] = kNoValue; });
  check_bad_node(code::kShape, "a bias as weight", conv, [](NodeSpec& bad) { bad.inputs[1] = kBias; });
  check_bad_node(code::kShape, "a weight as bias", conv, [](NodeSpec& bad) { bad.inputs[2] = kWeight; });
}

// Each tensor of each op: past the state, and with other dims. Other nodes read the tensor, too.
TEST(program_spec_bad_tensors) {
  for (const NodeSpec& good : {convolution(1), batch_norm(1), scale(1), squeeze_excite(1)})
    for (std::size_t i = 1; i < good.inputs.size(); ++i) {
      const std::string what = text_of(good.op, ", operand ", i);
      const auto check = [&](const char* expected, const auto& change) {
        check_bad(expected, what, good,
                  [&](ProgramSpec& spec, NodeSpec& changed) { change(spec.tensors[changed.inputs[i] - 1]); });
      };
      for (StateOffset offset : {~StateOffset{0}, ~StateOffset{0} - 1, StateOffset{1000}})
        check(code::kInvalidArg, [&](StateTensor& tensor) { tensor.offset = offset; });
      check(code::kInvalidArg, [](StateTensor& tensor) { tensor.offset = 1000 - elements_of(tensor.dims) + 1; });
      check(code::kShape, [](StateTensor& tensor) { tensor.dims.push_back(2); });
      check(i == 1 && good.op == "conv" ? code::kInvalidArg : code::kShape,
            [](StateTensor& tensor) { tensor.dims[0] = 0; });
    }
}

TEST(program_spec_bad_shapes) {
  CHECK_EQUAL(code_of_program(program({})), code::kInvalidArg, "no nodes");
  for (std::size_t dim = 0; dim < 4; ++dim) {
    ProgramSpec spec = program({convolution(0)});
    spec.input[dim] = 0;
    CHECK_EQUAL(code_of_program(spec), code::kShape, "a dim of 0");
  }
  ProgramSpec flat = program({convolution(0)});
  flat.input.pop_back();
  CHECK_EQUAL(code_of_program(flat), code::kShape, "three dims");
  ProgramSpec small = program({convolution(0, 1, 0)});
  small.input[2] = 2;
  CHECK_EQUAL(code_of_program(small), code::kShape, "an image smaller than the kernel");
  for (std::size_t stride : {1u, 2u}) {
    const char* expected = stride == 1 ? "no error" : code::kShape;
    CHECK_EQUAL(code_of_program(program({convolution(0, stride), node("sum", {0, value(1)})})), expected, "a sum");
    NodeSpec norm = batch_norm(1);
    norm.inputs.push_back(0);
    CHECK_EQUAL(code_of_program(program({convolution(0, stride), norm})), expected, "an addend");
  }
  ProgramSpec norm = program({batch_norm(0)});
  norm.training = true;
  CHECK_EQUAL(code_of_program(norm), "no error", "a batch of 72 values per channel");
  norm.input = {1, 8, 1, 1};
  CHECK_EQUAL(code_of_program(norm), code::kShape, "the variance of one value");
}

// Every product of sizes that can overflow, with every op: an error, never a crash.
TEST(program_spec_huge_dims) {
  const std::vector<NodeSpec> nodes{convolution(0), batch_norm(0),       scale(0),         average_pool(0),
                                    global_pool(0), node("sum", {0, 0}), squeeze_excite(0)};
  std::size_t refused = 0;
  test.repeat(20000, [&](Rng& rng) {
    ProgramSpec spec = program({nodes[rng.between(0, nodes.size() - 1)]});
    spec.training = rng.chance(0.5);
    spec.gradients = rng.chance(0.5);
    spec.state_length = std::size_t{1} << 62;
    for (std::size_t& dim : spec.input) {
      dim = std::size_t{1} << rng.between(0, 63);
      if (rng.chance(0.2)) dim += rng.between(0, 2);
    }
    const Dims& in = spec.input;
    const std::size_t c = in[1], out = std::size_t{1} << rng.between(0, 63),
                      groups = rng.chance(0.2) ? std::min<std::size_t>({c, out, 1 << 30}) : 1;
    spec.nodes[0].attributes.set("group", static_cast<double>(groups));
    spec.tensors[kWeight - 1].dims = {out, c / groups, 3, 3};
    spec.tensors[kBias - 1].dims = {out};
    spec.tensors[kGate - 1].dims = {out, c};
    spec.tensors[kGate].dims = {out};
    spec.tensors[kGate + 1].dims = {c, out};
    spec.tensors[kGate + 2].dims = {c};
    for (ValueId id = kNorm; id < kNorm + 4; ++id) spec.tensors[id - 1].dims = {c};
    double floats = 1;
    for (std::size_t dim : in) floats *= static_cast<double>(dim);
    if (floats < 0x1p46) spec.input[0] = std::size_t{1} << 46;  // exceeds an address space, whatever the other dims are
    const std::string code = code_of_program(spec);
    CHECK(code == code::kSizeOverflow || code == code::kOutOfMemory || code == code::kInvalidArg, code, " for ",
          qarepvgg::text_of(spec.input), " and ", out, " output channels");
    refused += code == code::kSizeOverflow;
  });
  CHECK(refused > 0, "all");
}

// A convolution for inference needs its input with a halo, its output, and its packed weights, each rounded up to whole
// cache lines. There is no patch matrix, which would take nine times the input.
TEST(program_memory_of_a_convolution) {
  const auto line = [](std::size_t floats) { return (floats + kAlignedFloats - 1) / kAlignedFloats * kAlignedFloats; };
  test.repeat(200, [&](Rng& rng) {
    // Stride 2, so that Winograd, which needs memory of its own, is not chosen.
    ProgramSpec spec = program({convolution(0, 2)});
    const std::size_t n = rng.between(1, 4), c = rng.between(1, 100), h = rng.between(4, 60), w = rng.between(4, 60),
                      out_c = rng.between(1, 100);
    spec.input = {n, c, h, w};
    spec.gradients = false;
    spec.tensors[kWeight - 1].dims = {out_c, c, 3, 3};
    spec.tensors[kBias - 1] = {out_c * c * 9, {out_c}};
    spec.state_length = out_c * (c * 9 + 1);
    const std::size_t input = n * (h + 2) * (w + 2) * line(c);
    const std::size_t output = n * ((h + 1) / 2) * ((w + 1) / 2) * line(out_c);
    const std::size_t weights = line(out_c) * c * 9 + line(out_c);
    const Program made(spec);
    CHECK(made.memory_bytes() <= (input + output + weights) * sizeof(float), made.memory_bytes(), " bytes for ",
          qarepvgg::text_of(spec.input), " to ", out_c, " channels");
    spec.gradients = true;
    const std::size_t with_input = Program(spec).memory_bytes();
    spec.input_gradient = false;
    CHECK(Program(spec).memory_bytes() < with_input, "a gradient of the input that is not asked for");
  });
}

}  // namespace
}  // namespace qarepvgg::test
