// Inference programs with integers: the bits of the reference on every instruction set, by every algorithm, at every
// place in every batch, on any number of threads. And refusals.
#include <algorithm>
#include <limits>

#include "program/train/program.h"
#include "test/chain_program.h"
#include "test/quantized_cases.h"
#include "test/quantized_chain.h"
#include "test/reference_program.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};
constexpr int kTeams[]{1, 2, 3, 7};
// These networks are small: 0 lets any team share an image.
constexpr double kMinMacs[]{0, 3e3, InferenceProgram::kMinMacs};

reference::Values expected_of(const RandomChain& chain, ImageSize size, const reference::Values& image) {
  reference::Values state(chain.state.begin(), chain.state.end());
  ReferenceProgram oracle(chain.spec);
  return oracle.forward({reference::Dims{1, chain.spec.c, size.h, size.w}, image}, state).data;
}

TEST(quantized_inference_equals_reference) {
  test.repeat(100, [](Rng& rng) {
    RandomChain chain = random_quantized_chain(rng, 24);
    const ImageSize nominal{chain.spec.h, chain.spec.w};
    std::vector<reference::Values> images, expected;
    for (int i = 0; i < 5; ++i) {
      images.push_back(chain.random_image(rng, nominal));
      expected.push_back(expected_of(chain, nominal, images.back()));
    }
    for (const KernelTable* kernels : available_kernels()) {
      const UseKernels use(*kernels);
      for (Algorithm algorithm : kAlgorithms) {
        chain.spec.threads = rng.pick(kTeams);
        InferenceProgram program(chain.spec, chain.state.data(), algorithm, rng.pick(kMinMacs));
        for (int run = 0; run < 2; ++run) {
          const std::size_t count = rng.between(1, images.size());
          const std::vector<reference::Values> outputs = infer(rng, program, nominal, images, count);
          for (std::size_t i = 0; i < count; ++i)
            CHECK_VALUES(outputs[i], expected[i], kEitherZero, kernels->isa, ", ", describe(chain), ", ",
                         chain.spec.threads, " threads, image ", i, " of ", count);
        }
      }
    }
  });
}

TEST(quantized_inference_of_other_sizes) {
  test.repeat(80, [](Rng& rng) {
    RandomChain chain = random_quantized_chain(rng, 24);
    chain.spec.threads = rng.pick(kTeams);
    const UseKernels use(*available_kernels()[rng.between(0, available_kernels().size() - 1)]);
    InferenceProgram program(chain.spec, chain.state.data(), rng.pick(kAlgorithms), rng.pick(kMinMacs));
    for (int i = 0; i < 6; ++i) {
      const ImageSize size{rng.between(1, 24), rng.between(1, 24)};
      if (code_of([&] { program.output_shape(size); }) != "no error") continue;
      const reference::Values image = chain.random_image(rng, size);
      const reference::Values expected = expected_of(chain, size, image);
      for (const reference::Values& output : infer(rng, program, size, {image, image, image}, rng.between(1, 3)))
        CHECK_VALUES(output, expected, kEitherZero, describe(chain), ", ", size.h, " x ", size.w);
    }
    CHECK(program.memory_bytes() > 0, describe(chain));
  });
}

// ---- refusals ----------------------------------------------------------------------------------------------------

TEST(quantization_parameters) {
  const auto code = [](double scale, double zero_point) {
    return code_of([&] { Quantization made(scale, zero_point, "a test"); });
  };
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  for (double scale : {0.0, -0.0, -1.0, kNaN, kInfinity, -kInfinity, 1e-39, 1e-46, 1e39})
    CHECK_EQUAL(code(scale, 0), code::kQuantParam, "scale ", scale);
  for (double zero_point : {-1.0, 256.0, 0.5, kNaN, kInfinity})
    CHECK_EQUAL(code(1, zero_point), code::kQuantParam, "zero point ", zero_point);
  for (double scale : {1.2e-38, 3.4e38, 0.1}) CHECK_EQUAL(code(scale, 255), "no error", "scale ", scale);
}

// quantize, 3x3 convolution of 5 to 16 channels, global average, linear to 3, dequantize.
ProgramSpec small_network() {
  const Quantization a(0.1, 3, "a"), b(0.2, 0, "b"), c(0.05, 128, "c");
  const auto op = [](OpKind kind, ValueId input, std::optional<Quantization> from, std::optional<Quantization> to) {
    OpSpec made;
    made.kind = kind;
    made.inputs = {input};
    made.from = from;
    made.to = to;
    return made;
  };
  const auto conv = [&](ValueId input, const Quantization& from, const Quantization& to, std::size_t in,
                        std::size_t out, std::size_t kernel) {
    OpSpec made = op(OpKind::kQuantizedConv, input, from, to);
    made.out_channels = out;
    made.kernel = kernel;
    made.stride = made.dilation = made.groups = 1;
    made.padding = kernel / 2;
    made.quantized = std::make_shared<QuantizedWeights>(
        QuantizedWeights{std::vector<std::int8_t>(out * in * kernel * kernel, 1), std::vector<std::int32_t>(out),
                         std::vector<float>(out, 0.01f)});
    return made;
  };
  ProgramSpec spec;
  spec.n = 1;
  spec.c = 5;
  spec.h = spec.w = 6;
  spec.threads = 1;
  spec.ops = {op(OpKind::kQuantize, 0, {}, a), conv(1, a, b, 5, 16, 3), op(OpKind::kQuantizedGlobalAverage, 2, b, b),
              conv(3, b, c, 16, 3, 1), op(OpKind::kDequantize, 4, c, {})};
  return spec;
}

TEST(quantized_inference_rejects) {
  const auto code_with = [](const auto& change) {
    ProgramSpec spec = small_network();
    change(spec.ops);
    const float state = 0;
    return code_of([&] { InferenceProgram program(spec, &state, Algorithm::kAuto); });
  };
  const auto code_with_weights = [&](const auto& change) {
    return code_with([&](std::vector<OpSpec>& ops) {
      QuantizedWeights weights = *ops[1].quantized;
      change(weights);
      ops[1].quantized = std::make_shared<QuantizedWeights>(weights);
    });
  };
  using Ops = std::vector<OpSpec>;
  using Weights = QuantizedWeights;
  CHECK_EQUAL(code_with([](Ops&) {}), "no error", "nothing wrong yet");
  CHECK_EQUAL(code_with([](Ops& ops) { ops.pop_back(); }), code::kInvalidArg, "integers as output");
  CHECK_EQUAL(code_with([](Ops& ops) { ops[0].kind = OpKind::kGlobalAverage; }), code::kInvalidArg,
              "integers from an op on floats");
  CHECK_EQUAL(code_with([](Ops& ops) { ops[2].kind = OpKind::kGlobalAverage; }), code::kInvalidArg,
              "integers into an op on floats");
  CHECK_EQUAL(code_with([](Ops& ops) { ops[2].activation = Activation::relu(); }), code::kInvalidArg,
              "a ReLU that no pooling has");
  CHECK_EQUAL(code_with([](Ops& ops) { ops[2].from = Quantization(0.3, 0, "x"); }), code::kQuantParam, "another scale");
  CHECK_EQUAL(code_with([](Ops& ops) { ops[2].from = Quantization(0.2, 1, "x"); }), code::kQuantParam,
              "another zero point");
  CHECK_EQUAL(code_with([](Ops& ops) { ops[1].groups = 0; }), code::kInvalidArg, "no groups");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.weight.pop_back(); }), code::kBufferSize, "a weight less");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias.push_back(0); }), code::kBufferSize, "a bias more");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.scale.pop_back(); }), code::kQuantParam, "a scale less");
  for (float scale :
       {0.0f, -1.0f, 1e-40f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    CHECK_EQUAL(code_with_weights([&](Weights& w) { w.scale[7] = scale; }), code::kQuantParam, "scale ", scale);
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.scale[7] = 3e38f; }), "no error", "a large scale");
  CHECK_EQUAL(code_with([](Ops& ops) {
                Weights weights = *ops[1].quantized;
                weights.scale[7] = 3e38f;
                ops[1].quantized = std::make_shared<Weights>(weights);
                ops[1].to = ops[2].from = Quantization(1e-3, 0, "x");
              }),
              code::kQuantParam, "a quotient of scales that is infinite");
  CHECK_EQUAL(code_with([](Ops& ops) {
                ops[1].to = ops[2].from = Quantization(3e38, 0, "x");
                ops[2].to = ops[3].from = Quantization(1e-3, 0, "x");
              }),
              code::kQuantParam, "the same in a pooling");
  // 255 * 45 + bias
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias[3] = std::numeric_limits<std::int32_t>::max() - 11475; }),
              "no error", "sums up to 2^31 - 1");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias[3] = std::numeric_limits<std::int32_t>::max() - 11474; }),
              code::kQuantParam, "sums up to 2^31");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias[3] = std::numeric_limits<std::int32_t>::min(); }),
              code::kQuantParam, "the least bias");

  ProgramSpec spec = small_network();
  CHECK_EQUAL(code_of([&] { Program program(spec); }), code::kModelIncompatible, "a program that is no session");
  const float state = 0;
  InferenceProgram program(small_network(), &state, Algorithm::kAuto);
  CHECK_EQUAL(code_of([&] { program.output_shape({1 << 12, (1 << 11) + 1}); }), code::kShape,
              "a mean of too many pixels");
}

// An error names the op.
TEST(quantized_errors_name_the_op) {
  ProgramSpec spec = small_network();
  QuantizedWeights weights = *spec.ops[3].quantized;
  weights.scale.clear();
  spec.ops[3].quantized = std::make_shared<QuantizedWeights>(weights);
  const float state = 0;
  try {
    InferenceProgram program(spec, &state, Algorithm::kAuto);
    CHECK(false, "an error");
  } catch (const Error& error) {
    CHECK_EQUAL(std::string(error.what()).rfind("op 3 (quantizedConv): expected 3 weight scales", 0), 0u, error.what());
  }
}

}  // namespace
}  // namespace qarepvgg::test
