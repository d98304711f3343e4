// Invalid programs get the right error before memory is allocated. And how much memory valid ones take.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "program/train/program.h"
#include "test/harness.h"

namespace qarepvgg::test {
namespace {

OpSpec convolution(ValueId input) {
  OpSpec op;
  op.kind = OpKind::kConv;
  op.inputs = {input};
  op.out_channels = 8;
  op.kernel = 3;
  op.stride = op.padding = op.dilation = op.groups = 1;
  op.weight = 0;
  op.bias = 8 * 8 * 9;
  return op;
}

OpSpec batch_norm(ValueId input) {
  OpSpec op;
  op.kind = OpKind::kBatchNorm;
  op.inputs = {input};
  op.weight = 0;
  op.bias = 8;
  op.running_mean = 16;
  op.running_var = 24;
  op.batches = 32;
  op.eps = 1e-5;
  op.momentum = 0.1;
  return op;
}

OpSpec plain(OpKind kind, std::vector<ValueId> inputs) {
  OpSpec op;
  op.kind = kind;
  op.inputs = std::move(inputs);
  return op;
}

OpSpec scale(ValueId input) {
  OpSpec op = plain(OpKind::kScale, {input});
  op.weight = 5;
  return op;
}

// A program with input [2, 8, 6, 6] and a state of 1000 floats.
ProgramSpec program(std::vector<OpSpec> ops) {
  ProgramSpec spec;
  spec.n = 2;
  spec.c = 8;
  spec.h = spec.w = 6;
  spec.ops = std::move(ops);
  spec.state_length = 1000;
  spec.gradients = true;
  return spec;
}

std::string code_of_program(const ProgramSpec& spec) {
  return code_of([&] { Program made(spec); });
}

// `change` breaks the second op of convolution, op, convolution. The input is so large that allocating it would cause
// another error.
void check_bad_op(const char* expected, const std::string& what, OpSpec good,
                  const std::function<void(OpSpec&)>& change) {
  good.inputs = {1};
  ProgramSpec spec = program({convolution(0), good, scale(2)});
  CHECK_EQUAL(code_of_program(spec), "no error", what, ", not yet wrong");
  change(spec.ops[1]);
  spec.h = spec.w = std::size_t{1} << 22;  // 2^48 floats
  CHECK_EQUAL(code_of_program(spec), expected, what);
}

TEST(program_spec_bad_ops) {
  const OpSpec conv = convolution(1), norm = batch_norm(1), sum = plain(OpKind::kAdd, {1, 1});
  check_bad_op(code::kInvalidArg, "kernel 0", conv, [](OpSpec& op) { op.kernel = 0; });
  check_bad_op(code::kInvalidArg, "kernel 8", conv, [](OpSpec& op) { op.kernel = 8; });
  check_bad_op(code::kInvalidArg, "stride 0", conv, [](OpSpec& op) { op.stride = 0; });
  check_bad_op(code::kInvalidArg, "dilation 0", conv, [](OpSpec& op) { op.dilation = 0; });
  check_bad_op(code::kInvalidArg, "no groups", conv, [](OpSpec& op) { op.groups = 0; });
  check_bad_op(code::kInvalidArg, "groups that do not divide", conv, [](OpSpec& op) { op.groups = 3; });
  check_bad_op(code::kInvalidArg, "no output channels", conv, [](OpSpec& op) { op.out_channels = 0; });
  for (std::size_t huge : {std::size_t{1} << 31, std::size_t{1} << 32, (std::size_t{1} << 53) + 1, kNoTensor}) {
    check_bad_op(code::kInvalidArg, text_of("stride ", huge), conv, [&](OpSpec& op) { op.stride = huge; });
    check_bad_op(code::kInvalidArg, text_of("padding ", huge), conv, [&](OpSpec& op) { op.padding = huge; });
    check_bad_op(code::kInvalidArg, text_of("dilation ", huge), conv, [&](OpSpec& op) { op.dilation = huge; });
    check_bad_op(code::kInvalidArg, text_of("groups ", huge), conv, [&](OpSpec& op) { op.groups = huge; });
  }
  check_bad_op(code::kInvalidArg, "a value of its own", conv, [](OpSpec& op) { op.inputs = {2}; });
  check_bad_op(code::kInvalidArg, "a value of later", conv, [](OpSpec& op) { op.inputs = {3}; });
  check_bad_op(code::kInvalidArg, "no operand", conv, [](OpSpec& op) { op.inputs.clear(); });
  check_bad_op(code::kInvalidArg, "two operands", conv, [](OpSpec& op) { op.inputs = {0, 1}; });
  check_bad_op(code::kInvalidArg, "an empty sum", sum, [](OpSpec& op) { op.inputs.clear(); });
  check_bad_op(code::kInvalidArg, "a long sum", sum, [](OpSpec& op) { op.inputs.assign(kMaxSummands + 1, 1); });
  check_bad_op(code::kInvalidArg, "a value that nothing reads", conv, [](OpSpec& op) { op.inputs = {0}; });
  check_bad_op(code::kInvalidArg, "two addends", norm, [](OpSpec& op) { op.inputs = {1, 1, 1}; });
  check_bad_op(code::kInvalidArg, "ReLU behind an addend", norm, [](OpSpec& op) {
    op.inputs = {1, 1};
    op.activation = Activation::relu();
  });
  check_bad_op(code::kInvalidArg, "ReLU of a factor", scale(1), [](OpSpec& op) { op.activation = Activation::relu(); });

  check_bad_op(code::kInvalidArg, "no weight", conv, [](OpSpec& op) { op.weight = kNoTensor; });
  check_bad_op(code::kInvalidArg, "weight past the state", conv, [](OpSpec& op) { op.weight = 1000 - 8 * 8 * 9 + 1; });
  check_bad_op(code::kInvalidArg, "bias past the state", conv, [](OpSpec& op) { op.bias = 993; });
  check_bad_op(code::kInvalidArg, "factor past the state", scale(1), [](OpSpec& op) { op.weight = 1000; });
  for (StateOffset OpSpec::* tensor :
       {&OpSpec::weight, &OpSpec::bias, &OpSpec::running_mean, &OpSpec::running_var, &OpSpec::batches})
    for (StateOffset offset : {kNoTensor, kNoTensor - 1, StateOffset{1000}})
      check_bad_op(code::kInvalidArg, text_of("batch norm at ", offset), norm,
                   [&](OpSpec& op) { op.*tensor = offset; });
  check_bad_op(code::kInvalidArg, "variance past the state", norm, [](OpSpec& op) { op.running_var = 993; });
}

TEST(program_spec_bad_shapes) {
  CHECK_EQUAL(code_of_program(program({})), code::kInvalidArg, "no ops");
  for (std::size_t ProgramSpec::* dim : {&ProgramSpec::n, &ProgramSpec::c, &ProgramSpec::h, &ProgramSpec::w}) {
    ProgramSpec spec = program({convolution(0)});
    spec.*dim = 0;
    CHECK_EQUAL(code_of_program(spec), code::kShape, "a dim of 0");
  }
  ProgramSpec small = program({convolution(0)});
  small.h = 2;
  small.ops[0].padding = 0;
  CHECK_EQUAL(code_of_program(small), code::kShape, "an image smaller than the kernel");

  ProgramSpec sum = program({convolution(0), plain(OpKind::kAdd, {0, 1})});
  CHECK_EQUAL(code_of_program(sum), "no error", "a sum of equals");
  sum.ops[0].stride = 2;
  CHECK_EQUAL(code_of_program(sum), code::kShape, "a sum of different sizes");

  ProgramSpec addend = program({convolution(0), batch_norm(1)});
  addend.ops[1].inputs = {1, 0};
  CHECK_EQUAL(code_of_program(addend), "no error", "a batch norm and an addend of its size");
  addend.ops[0].stride = 2;
  CHECK_EQUAL(code_of_program(addend), code::kShape, "an addend of another size");

  ProgramSpec norm = program({batch_norm(0)});
  norm.training = true;
  CHECK_EQUAL(code_of_program(norm), "no error", "a batch of 72 values per channel");
  norm.n = norm.h = norm.w = 1;
  CHECK_EQUAL(code_of_program(norm), code::kShape, "the variance of one value");
}

// Every product of sizes that can overflow, with every op: an error, never a crash.
TEST(program_spec_huge_dims) {
  std::vector<OpSpec> ops{convolution(0), batch_norm(0), scale(0)};
  for (OpKind kind : {OpKind::kAdd, OpKind::kAveragePool, OpKind::kRelu, OpKind::kGlobalAverage})
    ops.push_back(plain(kind, {0}));
  std::size_t refused = 0;
  test.repeat(20000, [&](Rng& rng) {
    ProgramSpec spec = program({ops[rng.between(0, ops.size() - 1)]});
    spec.training = rng.chance(0.5);
    spec.gradients = rng.chance(0.5);
    spec.state_length = std::size_t{1} << 62;
    for (std::size_t ProgramSpec::* dim : {&ProgramSpec::n, &ProgramSpec::c, &ProgramSpec::h, &ProgramSpec::w}) {
      spec.*dim = std::size_t{1} << rng.between(0, 63);
      if (rng.chance(0.2)) spec.*dim += rng.between(0, 2);
    }
    OpSpec& op = spec.ops[0];
    op.out_channels = std::size_t{1} << rng.between(0, 63);
    op.groups = rng.chance(0.2) ? std::min(spec.c, op.out_channels) : 1;
    const double floats = static_cast<double>(spec.n) * static_cast<double>(spec.c) * static_cast<double>(spec.h) *
                          static_cast<double>(spec.w);
    if (floats < 0x1p46) spec.n = std::size_t{1} << 46;  // exceeds an address space, whatever the other dims are
    const std::string code = code_of_program(spec);
    CHECK(code == code::kSizeOverflow || code == code::kOutOfMemory || code == code::kInvalidArg, code, " for [",
          spec.n, ", ", spec.c, ", ", spec.h, ", ", spec.w, "] and ", op.out_channels, " output channels");
    refused += code == code::kSizeOverflow;
  });
  CHECK(refused > 0, "all");
}

// A convolution for inference needs its input with a halo, its output, and its packed weights, each rounded up to whole
// cache lines. There is no patch matrix, which would take nine times the input.
TEST(program_memory_of_a_convolution) {
  const auto line = [](std::size_t floats) { return (floats + kAlignedFloats - 1) / kAlignedFloats * kAlignedFloats; };
  test.repeat(200, [&](Rng& rng) {
    ProgramSpec spec = program({convolution(0)});
    spec.n = rng.between(1, 4);
    spec.c = rng.between(1, 100);
    spec.h = rng.between(4, 60);
    spec.w = rng.between(4, 60);
    spec.gradients = false;
    OpSpec& op = spec.ops[0];
    op.out_channels = rng.between(1, 100);
    op.stride = 2;  // so that Winograd, which needs memory of its own, is not chosen
    op.bias = op.out_channels * spec.c * 9;
    spec.state_length = op.bias + op.out_channels;
    const std::size_t input = spec.n * (spec.h + 2) * (spec.w + 2) * line(spec.c);
    const std::size_t output = spec.n * ((spec.h + 1) / 2) * ((spec.w + 1) / 2) * line(op.out_channels);
    const std::size_t weights = line(op.out_channels) * spec.c * 9 + line(op.out_channels);
    const Program made(spec);
    CHECK(made.memory_bytes() <= (input + output + weights) * sizeof(float), made.memory_bytes(), " bytes for [",
          spec.n, ", ", spec.c, ", ", spec.h, ", ", spec.w, "] to ", op.out_channels, " channels");
    spec.gradients = true;
    const std::size_t with_input = Program(spec).memory_bytes();
    spec.input_gradient = false;
    CHECK(Program(spec).memory_bytes() < with_input, "a gradient of the input that is not asked for");
  });
}

}  // namespace
}  // namespace qarepvgg::test
