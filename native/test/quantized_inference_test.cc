// Inference programs with integers: the bits of the reference on every instruction set, by every algorithm, at every
// place in every batch, on any number of threads. And refusals.
#include <algorithm>
#include <limits>

#include "test/chain_program.h"
#include "test/quantized_cases.h"
#include "test/quantized_chain.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};
constexpr int kTeams[]{1, 2, 3, 7};
// These networks are small: 0 lets any team share an image.
constexpr double kMinMacs[]{0, 3e3, InferenceProgram::kMinMacs};

reference::Values expected_of(const Chain& chain, ImageSize size, const reference::Values& image) {
  return run_reference(chain, {reference::Dims{1, chain.channels(), size.h, size.w}, image}).data;
}

TEST(quantized_inference_equals_reference) {
  test.repeat(100, [](Rng& rng) {
    Chain chain = random_quantized_chain(rng, 24);
    const ImageSize nominal = chain.size();
    std::vector<reference::Values> images, expected;
    for (int i = 0; i < 5; ++i) {
      images.push_back(random_image(rng, chain, nominal));
      expected.push_back(expected_of(chain, nominal, images.back()));
    }
    for (const KernelTable* kernels : available_kernels()) {
      const UseKernels use(*kernels);
      for (Algorithm algorithm : kAlgorithms) {
        chain.spec.threads = rng.pick(kTeams);
        InferenceProgram program(chain, algorithm, rng.pick(kMinMacs));
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
    Chain chain = random_quantized_chain(rng, 24);
    chain.spec.threads = rng.pick(kTeams);
    const UseKernels use(*available_kernels()[rng.between(0, available_kernels().size() - 1)]);
    InferenceProgram program(chain, rng.pick(kAlgorithms), rng.pick(kMinMacs));
    for (int i = 0; i < 6; ++i) {
      const ImageSize size{rng.between(1, 24), rng.between(1, 24)};
      if (code_of([&] { program.output_shape(size); }) != "no error") continue;
      const reference::Values image = random_image(rng, chain, size);
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

// A 3x3 convolution of 5 to 16 channels in integers, its global average, and a linear layer to 3.
struct SmallNetwork {
  struct Layer {
    Attributes attributes;
    QuantizedWeights weights;
  };
  Attributes quantize, pool, dequantize;
  Layer conv = layer(5, 16, 3), linear = layer(16, 3, 1);

  SmallNetwork() {
    const Quantization a(0.1, 3, "a"), b(0.2, 0, "b"), c(0.05, 128, "c");
    set_quantization(quantize, "output", a);
    set_quantization(conv.attributes, "input", a);
    set_between(b);
    set_quantization(pool, "output", b);
    set_quantization(linear.attributes, "input", b);
    set_quantization(linear.attributes, "output", c);
    set_quantization(dequantize, "input", c);
  }

  void set_between(const Quantization& q) {
    set_quantization(conv.attributes, "output", q);
    set_quantization(pool, "input", q);
  }

  static Layer layer(std::size_t in, std::size_t out, std::size_t kernel) {
    return {square_window(kernel, 1, kernel / 2),
            {std::vector<std::int8_t>(out * in * kernel * kernel, 1), std::vector<std::int32_t>(out),
             std::vector<float>(out, 0.01f)}};
  }

  Chain chain() const {
    Chain chain(5, {6, 6});
    const auto constants = [&](const Layer& layer, const Dims& weight) -> std::vector<ValueId> {
      return {chain.constant(Dtype::kInt8, weight, layer.weights.weight),
              chain.constant(Dtype::kInt32, {layer.weights.bias.size()}, layer.weights.bias),
              chain.constant(Dtype::kFloat32, {layer.weights.scale.size()}, layer.weights.scale)};
    };
    const std::vector<ValueId> of_conv = constants(conv, {16, 5, 3, 3}), of_linear = constants(linear, {3, 16, 1, 1});
    chain.add("quantize", {}, {Dtype::kUint8, {1, 5, 6, 6}}, quantize);
    chain.add("quantizedConv", of_conv, {Dtype::kUint8, {1, 16, 6, 6}}, conv.attributes);
    chain.add("quantizedGlobalAverage", {}, {Dtype::kUint8, {1, 16, 1, 1}}, pool);
    chain.add("quantizedConv", of_linear, {Dtype::kUint8, {1, 3, 1, 1}}, linear.attributes);
    chain.add("dequantize", {}, {Dtype::kFloat32, {1, 3, 1, 1}}, dequantize);
    return chain;
  }
};

TEST(quantized_inference_rejects) {
  const auto code_of_chain = [](const Chain& chain) {
    return code_of([&] { InferenceProgram program(chain, Algorithm::kAuto); });
  };
  const auto code_with = [&](const auto& change) {
    SmallNetwork network;
    change(network);
    return code_of_chain(network.chain());
  };
  const auto code_with_op = [&](std::size_t node, const char* op, const char* kind = "average") {
    Chain chain = SmallNetwork().chain();
    chain.spec.nodes[node].op = op;
    chain.spec.nodes[node].attributes.set("kind", std::string(kind));
    return code_of_chain(chain);
  };
  const auto code_with_weights = [&](const auto& change) {
    return code_with([&](SmallNetwork& network) { change(network.conv.weights); });
  };
  using Network = SmallNetwork;
  using Weights = QuantizedWeights;
  CHECK_EQUAL(code_with([](Network&) {}), "no error", "nothing wrong yet");
  CHECK_EQUAL(code_with_op(0, "globalPool"), code::kShape, "integers from an op on floats");
  CHECK_EQUAL(code_with_op(2, "globalPool"), code::kDtype, "integers into an op on floats");
  CHECK_EQUAL(code_with([](Network& n) { set_quantization(n.pool, "input", Quantization(0.3, 0, "x")); }),
              code::kQuantParam, "another scale");
  CHECK_EQUAL(code_with([](Network& n) { set_quantization(n.pool, "input", Quantization(0.2, 1, "x")); }),
              code::kQuantParam, "another zero point");
  CHECK_EQUAL(code_with([](Network& n) { n.conv.attributes.set("group", 0.0); }), code::kInvalidArg, "no groups");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias.push_back(0); }), code::kBufferSize, "a bias more");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.scale.pop_back(); }), code::kQuantParam, "a scale less");
  for (float scale :
       {0.0f, -1.0f, 1e-40f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    CHECK_EQUAL(code_with_weights([&](Weights& w) { w.scale[7] = scale; }), code::kQuantParam, "scale ", scale);
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.scale[7] = 3e38f; }), "no error", "a large scale");
  CHECK_EQUAL(code_with([](Network& n) {
                n.conv.weights.scale[7] = 3e38f;
                n.set_between(Quantization(1e-3, 0, "x"));
              }),
              code::kQuantParam, "a quotient of scales that is infinite");
  CHECK_EQUAL(code_with([](Network& n) {
                n.set_between(Quantization(3e38, 0, "x"));
                set_quantization(n.pool, "output", Quantization(1e-3, 0, "x"));
                set_quantization(n.linear.attributes, "input", Quantization(1e-3, 0, "x"));
              }),
              code::kQuantParam, "the same in a pooling");
  // 255 * 45 + bias
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias[3] = std::numeric_limits<std::int32_t>::max() - 11475; }),
              "no error", "sums up to 2^31 - 1");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias[3] = std::numeric_limits<std::int32_t>::max() - 11474; }),
              code::kQuantParam, "sums up to 2^31");
  CHECK_EQUAL(code_with_weights([](Weights& w) { w.bias[3] = std::numeric_limits<std::int32_t>::min(); }),
              code::kQuantParam, "the least bias");

  InferenceProgram program(SmallNetwork().chain(), Algorithm::kAuto);
  CHECK_EQUAL(code_of([&] { program.output_shape({1 << 12, (1 << 11) + 1}); }), code::kShape,
              "a mean of too many pixels");
}

// An error names the node.
TEST(quantized_errors_name_the_node) {
  SmallNetwork network;
  network.linear.weights.scale.pop_back();
  try {
    InferenceProgram program(network.chain(), Algorithm::kAuto);
    CHECK(false, "an error");
  } catch (const Error& error) {
    const std::string expected = "node 'node 3' (quantizedConv): its weights: expected 3 weight scales";
    CHECK_EQUAL(std::string(error.what()).rfind(expected, 0), 0u, error.what());
  }
}

}  // namespace
}  // namespace qarepvgg::test
