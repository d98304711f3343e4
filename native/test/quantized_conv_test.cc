// Convolution of integers, direct and by Winograd's algorithm, and of images, on every instruction set: the same bits
// as the reference, however the work is shared.
#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/integer_depthwise.h"
#include "ops/stem.h"
#include "ops/winograd.h"
#include "test/guarded_memory.h"
#include "test/pieces.h"
#include "test/quantized_cases.h"

namespace qarepvgg::test {
namespace {

// Images of one pixel under a 1x1 kernel, as in a linear layer.
bool is_matrix_product(const ConvShape& shape) {
  return shape.kernel == 1 && shape.in_h == 1 && shape.in_w == 1 && shape.stride == 1 && shape.padding == 0;
}

constexpr std::size_t kTeams[]{1, 2, 3, 7};

// Packed weights and constants of a case, between guard pages.
struct Packed {
  std::byte* weights;
  SumStore sums;

  template <class Plan, class Pack>
  Packed(GuardedMemory& memory, const QuantizedCase& c, const Plan& plan, const Pack& pack)
      : weights(memory.bytes(plan.weight_bytes())), sums(c.from, c.to, c.relu ? Activation::relu() : Activation()) {
    pack(c.weights->weight.data(), weights);
    const std::size_t groups = c.shape.out_c / plan.panels().channels, lanes = groups * plan.panels().padded();
    sums.pack(*c.weights, groups, plan.panels(), plan.offset(),
              reinterpret_cast<std::int32_t*>(memory.bytes(lanes * 4)), memory.floats(lanes));
  }
};

ByteMap output_map(GuardedMemory& memory, Rng& rng, const QuantizedCase& c, const IntegerKernels& kernels) {
  const MapShape shape{c.shape.n, c.shape.out_c, c.shape.out_h(), c.shape.out_w(), rng.between(0, 2)};
  if (!c.to) return ByteMap(memory.map(shape));
  return memory.byte_map(shape, static_cast<std::size_t>(kernels.element_bytes), c.to->zero_point());
}

void check_output(const ByteMap& out, const QuantizedCase& c, const reference::Tensor& expected,
                  const std::string& where) {
  CHECK_VALUES(read(out).data, expected.data, 0.0, where);
  CHECK(c.to ? border_holds(out, c.to->zero_point()) : zero_border(out.floats()), where);
}

// Another size of image, as in a session that runs several sizes.
ConvShape resized(Rng& rng, ConvShape shape) {
  shape.n = 1;
  shape.in_h = shape.in_w = rng.between(shape.reach() + 1, shape.reach() + 40);
  return shape;
}

void check_direct(Rng& rng, const QuantizedCase& c, const reference::Tensor& x, const reference::Tensor& expected) {
  for (const KernelTable* table : available_kernels()) {
    const IntegerKernels& kernels = *table->integer;
    GuardedMemory memory(rng);
    const IntegerConvolution nominal =
        IntegerConvolution::forward(is_matrix_product(c.shape) ? c.shape : resized(rng, c.shape), kernels);
    const std::size_t members = rng.pick(kTeams);
    IntegerConvolution plan = IntegerConvolution::forward(c.shape, kernels);
    plan.share(nominal.panels(), members);
    const Packed packed(memory, c, plan, [&](auto* weight, auto* out) { nominal.pack_weights(weight, out, 1); });
    const ByteMap in = memory.byte_map(x, c.shape.padding + rng.between(0, 1),
                                       static_cast<std::size_t>(kernels.element_bytes), c.from.zero_point());
    const ByteMap out = output_map(memory, rng, c, kernels);
    run_in_pieces(rng, plan.items(), members, [&](const Tile& items, std::size_t, bool) {
      plan.run_items(in, packed.weights, &packed.sums, out, items);
    });
    check_output(out, c, expected, text_of(table->isa, ", ", describe(c), ", ", members, " members"));
  }
}

void direct_case(Rng& rng, const ConvShape& shape) {
  const QuantizedCase c = random_quantized_case(rng, shape, random_quantization(rng), false);
  const reference::Tensor x = random_integers(rng, input_dims(shape));
  check_direct(rng, c, x, reference::quantized_convolve(x, c.reference()));
}

// Every number of output channels up to two vectors plus one, with every width up to two tiles plus one.
TEST(quantized_conv_tails) {
  std::size_t out_channels = 0;
  test.repeat(2 * kAlignedFloats + 1, [&](Rng& rng) {
    ++out_channels;
    for (std::size_t width = 1; width <= 2 * kMaxTileRows + 1; ++width)
      direct_case(rng, {1, 5, 2, width, out_channels, 3, 1, 1, 1, 1});
  });
}

const bool registered = [] {
  for (const ConvFamily& family : conv_families())
    register_test(std::string("quantized_conv_") + family.name,
                  [&family](Test& test) { test.repeat(1300, [&](Rng& rng) { direct_case(rng, family.draw(rng)); }); });
  return true;
}();

// ---- Winograd ----------------------------------------------------------------------------------------------------

TEST(quantized_winograd_equals_reference) {
  test.repeat(3000, [&](Rng& rng) {
    const ConvShape shape = random_winograd_shape(rng, 300e3);
    const QuantizedCase c = random_quantized_case(rng, shape, random_quantization(rng), true);
    CHECK(is_exact_winograd(shape, c.weights->weight.data()), describe(c));
    const reference::Tensor x = random_integers(rng, input_dims(shape));
    const reference::Tensor expected = reference::quantized_convolve(x, c.reference());
    for (const KernelTable* table : available_kernels()) {
      const IntegerKernels& kernels = *table->integer;
      GuardedMemory memory(rng);
      const ConvShape nominal = resized(rng, shape);
      const Panels panels = IntegerWinograd::choose(nominal, kernels);
      const std::size_t planned = rng.pick(kTeams), members = rng.pick(kTeams);
      const IntegerWinograd packer(nominal, panels, 1, kernels), plan(shape, panels, planned, kernels);
      const Packed packed(memory, c, plan, [&](auto* weight, auto* out) { packer.pack_weights(weight, out, 1); });
      const ByteMap in =
          memory.byte_map(x, rng.between(1, 2), static_cast<std::size_t>(kernels.element_bytes), c.from.zero_point());
      const ByteMap out = output_map(memory, rng, c, kernels);
      const auto scratch = scratch_of(memory, members, plan.scratch_bytes());
      run_in_pieces(rng, plan.items(), members, [&](const Tile& items, std::size_t member, bool first) {
        plan.run_items(in, packed.weights, packed.sums, out, scratch[member], items, first);
      });
      check_output(out, c, expected, text_of(table->isa, ", ", describe(c), ", ", members, " members"));
    }
  });
}

// Extreme data with sums on both sides of the limit: exact below it, refused from it on.
TEST(quantized_winograd_limit) {
  constexpr std::size_t kDepth = 128;  // 127 * 9 * 128 * 255 > 2^25
  test.repeat(100, [&](Rng& rng) {
    const ConvShape shape{1, kDepth, 5, 7, 16, 3, 1, 1, 1, 1};
    QuantizedWeights weights{std::vector<std::int8_t>(shape.weight_elements()), std::vector<std::int32_t>(16),
                             std::vector<float>(16, 0.01f)};
    // 255 * 131586 < 2^25 <= 255 * 131587
    const int total = rng.chance(0.5) ? 131586 : 131587, terms = 9 * kDepth;
    const int sign = rng.chance(0.5) ? 1 : -1;
    for (std::size_t i = 0; i < weights.weight.size(); ++i) {
      const int term = static_cast<int>(i) % terms;
      weights.weight[i] = static_cast<std::int8_t>(sign * (total / terms + (term < total % terms ? 1 : 0)));
    }
    CHECK_EQUAL(is_exact_winograd(shape, weights.weight.data()), total == 131586, total, " as a sum");
    if (total != 131586) return;
    const Quantization from(0.01, static_cast<double>(rng.between(0, 255)), "a test");
    const QuantizedCase c{shape, from, {}, false, std::make_shared<QuantizedWeights>(weights)};
    reference::Tensor x(input_dims(shape));
    for (double& value : x.data) value = rng.chance(0.95) ? 255 : 0;
    const reference::Tensor expected = reference::quantized_convolve(x, c.reference());
    for (const KernelTable* table : available_kernels()) {
      const IntegerKernels& kernels = *table->integer;
      GuardedMemory memory(rng);
      const IntegerWinograd plan(shape, IntegerWinograd::choose(shape, kernels), 1, kernels);
      const Packed packed(memory, c, plan, [&](auto* weight, auto* out) { plan.pack_weights(weight, out, 1); });
      const ByteMap in = memory.byte_map(x, 1, static_cast<std::size_t>(kernels.element_bytes), c.from.zero_point());
      const ByteMap out = output_map(memory, rng, c, kernels);
      plan.run_items(in, packed.weights, packed.sums, out, memory.bytes(plan.scratch_bytes()), {0, plan.items()}, true);
      check_output(out, c, expected, table->isa);
    }
  });
}

// ---- depthwise ---------------------------------------------------------------------------------------------------

// Channels below, at and above the blocks of all instruction set, and rows that are shorter than a block.
TEST(quantized_depthwise_equals_reference) {
  test.repeat(1500, [](Rng& rng) {
    constexpr std::size_t kKernels[]{3, 3, 3, 5, 5, 5, 2, 7};
    const std::size_t kernel = rng.pick(kKernels), channels = rng.between(2, rng.chance(0.5) ? 70 : 330);
    const std::size_t most = rng.chance(0.5) ? 5 : 20;
    const ConvShape shape{rng.between(1, 2),
                          channels,
                          rng.between(1, most),
                          rng.between(1, most),
                          channels,
                          kernel,
                          rng.between(1, 2),
                          kernel / 2,
                          1,
                          channels};
    const QuantizedCase c = random_quantized_case(rng, shape, random_quantization(rng), false);
    const reference::Tensor x = random_integers(rng, input_dims(shape));
    const reference::Tensor expected = reference::quantized_convolve(x, c.reference());
    for (const KernelTable* table : available_kernels()) {
      const IntegerKernels& kernels = *table->integer;
      GuardedMemory memory(rng);
      const std::size_t members = rng.pick(kTeams);
      const IntegerDepthwise nominal(shape.window(), resized(rng, shape).output(), kernels);
      const IntegerDepthwise plan(shape.window(), shape.output(), kernels);
      const Packed packed(memory, c, plan, [&](auto* weight, auto* out) { nominal.pack_weights(weight, out); });
      const ByteMap in = memory.byte_map(x, shape.padding + rng.between(0, 1),
                                         static_cast<std::size_t>(kernels.element_bytes), c.from.zero_point());
      const ByteMap out = output_map(memory, rng, c, kernels);
      run_in_pieces(rng, plan.items(), members, [&](const Tile& items, std::size_t, bool) {
        plan.run_items(in, packed.weights, packed.sums, out, items);
      });
      check_output(out, c, expected, text_of(table->isa, ", ", describe(c), ", ", members, " members"));
    }
  });
}

// ---- the first layer ---------------------------------------------------------------------------------------------

void check_stem(Rng& rng, const QuantizedCase& c, const reference::Tensor& x,
                const std::function<Image(GuardedMemory&)>& image_in) {
  const reference::Tensor q = reference::quantize(x, {c.from.scale(), c.from.zero_point()});
  const reference::Tensor expected = reference::quantized_convolve(q, c.reference());
  for (const KernelTable* table : available_kernels()) {
    const IntegerKernels& kernels = *table->integer;
    GuardedMemory memory(rng);
    const Window window = c.shape.window();
    const IntegerLines nominal(resized(rng, c.shape).input(), c.from, kernels);
    const IntegerStem packer(nominal, window, IntegerStem::choose(nominal, window, c.shape.out_c));
    const IntegerStem plan({c.shape.input(), c.from, kernels}, window, packer.panels());
    const Packed packed(memory, c, plan, [&](auto* weight, auto* out) { packer.pack_weights(weight, out, 1); });
    const Image image = image_in(memory);
    const std::size_t members = rng.pick(kTeams);
    const ByteMap out = output_map(memory, rng, c, kernels);
    const auto scratch = scratch_of(memory, members, plan.scratch_bytes());
    run_in_pieces(rng, plan.items(), members, [&](const Tile& rows, std::size_t member, bool first) {
      plan.run_items(image, packed.weights, packed.sums, out, scratch[member], rows, first);
    });
    check_output(out, c, expected, text_of(table->isa, ", ", describe(c), ", ", members, " members"));
  }
}

TEST(quantized_stem_of_floats) {
  test.repeat(2000, [](Rng& rng) {
    const ConvShape shape = random_stem_shape(rng, kMaxImageChannels, rng.chance(0.7) ? 1 : rng.between(2, 3));
    const QuantizedCase c = random_quantized_case(rng, shape, random_quantization(rng), false);
    reference::Tensor x(input_dims(shape));
    for (double& value : x.data) {
      // Half steps are ties.
      const double steps = rng.chance(0.3) ? 0.5 * rng.integer(600) : rng.uniform(-300, 300);
      value = static_cast<double>(static_cast<float>(steps * static_cast<double>(c.from.scale())));
    }
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kSpecials[]{std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity, -0.0};
    if (rng.chance(0.3)) x.data[rng.between(0, x.data.size() - 1)] = rng.pick(kSpecials);
    check_stem(rng, c, x, [&](GuardedMemory& memory) {
      Image image;
      image.floats = memory.floats(x.data);
      return image;
    });
  });
}

TEST(quantized_stem_of_bytes) {
  test.repeat(2000, [](Rng& rng) {
    const ConvShape shape = random_stem_shape(rng, kMaxImageChannels, rng.chance(0.7) ? 1 : rng.between(2, 3));
    const QuantizedCase c = random_quantized_case(rng, shape, random_quantization(rng), false);
    std::vector<float> scale, shift;
    for (std::size_t channel = 0; channel < shape.in_c; ++channel) {
      scale.push_back(static_cast<float>(rng.uniform(-0.05, 0.05)));
      shift.push_back(static_cast<float>(rng.uniform(-3, 3)));
    }
    std::vector<std::uint8_t> bytes(shape.in_c * shape.in_h * shape.in_w);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(rng.between(0, 255));
    reference::Tensor x(input_dims(shape));
    reference::for_each_element(x.dims, [&](auto n, auto channel, auto row, auto column) {
      const float product =
          static_cast<float>(bytes[(row * shape.in_w + column) * shape.in_c + channel]) * scale[channel];
      x.at(n, channel, row, column) = static_cast<double>(product + shift[channel]);
    });
    check_stem(rng, c, x, [&](GuardedMemory& memory) {
      auto* copy = reinterpret_cast<std::uint8_t*>(memory.bytes(bytes.size()));
      std::copy(bytes.begin(), bytes.end(), copy);
      return Image{nullptr, copy, scale.data(), shift.data()};
    });
  });
}

}  // namespace
}  // namespace qarepvgg::test
