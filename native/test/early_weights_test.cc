// Weights that are packed before the graph is known: the same bits, and used only where the graph would pack the same.
#include "program/infer/early_weights.h"

#include "test/graph_maker.h"
#include "test/harness.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr std::size_t kChannels = 24, kSide = 12;
const Dims kImage{1, kChannels, kSide, kSide};

Attributes window(std::size_t kernel, std::size_t pad) {
  const Side side{kernel, 1, pad, pad, 1};
  return window_attributes({side, side}, 1);
}

// Three convolutions in a row. The last two share their weight; all have a bias, which early weights know nothing of.
Maker chain(Rng& rng, Algorithm algorithm) {
  Maker maker;
  maker.input(kImage);
  const ValueId wide = maker.constant({kChannels, kChannels, 3, 3}, random_floats(rng, kChannels * kChannels * 9));
  const ValueId narrow = maker.constant({kChannels, kChannels, 1, 1}, random_floats(rng, kChannels * kChannels));
  const ValueId bias = maker.constant({kChannels}, random_floats(rng, kChannels));
  const ValueId first = maker.node("conv", {0, narrow, bias}, kImage, window(1, 0));
  const ValueId second = maker.node("conv", {first, wide, bias}, kImage, window(3, 1));
  maker.spec.outputs = {maker.node("conv", {second, wide, bias}, kImage, window(3, 1))};
  maker.spec.algorithm = algorithm;
  maker.spec.threads = 2;
  maker.finish();
  return maker;
}

// What packs the weights of a graph of convolutions early.
GraphSpec without_bias(GraphSpec spec) {
  for (NodeSpec& node : spec.nodes) node.inputs.resize(2);
  return spec;
}

Floats result(const GraphSpec& spec, const Floats& x) {
  GraphProgram program(spec);
  return run(program, {x});
}

constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};

TEST(early_weights_give_the_same_bits) {
  test.repeat(20, [](Rng& rng) {
    const Floats x = random_floats(rng, kChannels * kSide * kSide);
    for (const KernelTable* kernels : float_kernels()) {
      const UseKernels use(*kernels);
      for (Algorithm algorithm : kAlgorithms) {
        Maker maker = chain(rng, algorithm);
        GraphProgram usual(maker.spec);
        const Floats expected = run(usual, {x});
        const std::size_t bytes = usual.memory_bytes();
        GraphSpec spec = maker.spec;
        spec.early = std::make_shared<EarlyWeights>();
        spec.early->pack(without_bias(maker.spec));
        // From now on the graph's own weights are wrong, so they must not be read.
        for (int i : {0, 1}) std::fill(maker.memory[i].begin(), maker.memory[i].end(), std::byte{0});
        GraphProgram program(spec);
        CHECK_EQUAL(run(program, {x}) == expected, true, kernels->isa);
        CHECK_EQUAL(program.memory_bytes(), bytes, kernels->isa);
      }
    }
  });
}

TEST(early_weights_of_something_else_are_not_used) {
  test.repeat(20, [](Rng& rng) {
    const Floats x = random_floats(rng, kChannels * kSide * kSide);
    for (Algorithm algorithm : kAlgorithms) {
      Maker maker = chain(rng, algorithm);
      const Floats expected = result(maker.spec, x);
      const auto with = [&](const auto& change) {
        GraphSpec early = without_bias(maker.spec), spec = maker.spec;
        spec.early = std::make_shared<EarlyWeights>();
        change(early, *spec.early);
        const Floats y = result(spec, x);
        CHECK_EQUAL(spec.early->bytes(), 0u, "given");
        return y;
      };
      // Packed from other numbers, which have changed since.
      const auto kept = maker.memory;
      const auto forgotten = with([&](GraphSpec& early, EarlyWeights& weights) {
        for (int i : {0, 1}) std::fill(maker.memory[i].begin(), maker.memory[i].end(), std::byte{0x3c});
        weights.pack(early);
        for (int i : {0, 1}) std::copy(kept[i].begin(), kept[i].end(), maker.memory[i].begin());
        for (int i : {0, 1}) weights.forget(maker.memory[i].data());
      });
      CHECK_EQUAL(forgotten == expected, true, "forgotten");
      // For images of another size, and other padding.
      const auto resized = with([&](GraphSpec& early, EarlyWeights& weights) {
        early.inputs[0].dims = {1, kChannels, kSide + 8, kSide};
        for (NodeSpec& node : early.nodes) node.outputs[0].dims = early.inputs[0].dims;
        weights.pack(early);
      });
      CHECK_EQUAL(resized == expected, true, "resized");
      const auto padded = with([&](GraphSpec& early, EarlyWeights& weights) {
        early.nodes.erase(early.nodes.begin());
        early.nodes.pop_back();
        early.nodes[0].inputs[0] = 0;
        early.nodes[0].attributes = window(3, 2);
        early.nodes[0].outputs[0].dims = {1, kChannels, kSide + 2, kSide + 2};
        weights.pack(early);
      });
      CHECK_EQUAL(padded == expected, true, "padded");
      const auto empty = with([](GraphSpec&, EarlyWeights&) {});
      CHECK_EQUAL(empty == expected, true, "not packed");
    }
  });
}

TEST(early_weights_refuse_odd_specs) {
  Rng rng(1);
  Maker maker = chain(rng, Algorithm::kAuto);
  const Floats x = random_floats(rng, kChannels * kSide * kSide), expected = result(maker.spec, x);
  const auto refused = [&](const auto& change) {
    GraphSpec odd = without_bias(maker.spec), spec = maker.spec;
    change(odd);
    spec.early = std::make_shared<EarlyWeights>();
    CHECK_EQUAL(code_of([&] { spec.early->pack(odd); }), code::kInvalidArg, "an odd spec");
    CHECK_EQUAL(result(spec, x) == expected, true, "after it failed");
    CHECK_EQUAL(spec.early->bytes(), 0u, "after it failed");
  };
  refused([](GraphSpec& spec) { spec.nodes[0].inputs.resize(1); });
  refused([](GraphSpec& spec) { spec.nodes[0].inputs[0] = 77; });
  refused([](GraphSpec& spec) { spec.nodes[0].inputs[1] = 0; });
}

}  // namespace
}  // namespace qarepvgg::test
