// Winograd convolution, forward and as a data gradient, on every instruction set against the reference.
#include "ops/winograd.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "test/conv_cases.h"
#include "test/guarded_memory.h"
#include "test/pieces.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// The largest error and the median error of results: the transforms cost about one digit.
constexpr double kLargestError = 2e-5, kTypicalError = 1e-6;

// The convolution that computes the gradient of the input from that of the output.
ConvShape turned(ConvShape shape) {
  std::swap(shape.in_c, shape.out_c);
  return shape;
}

struct Case {
  ConvShape shape;  // of the convolution that Winograd computes
  bool transposed;  // whether it is the data gradient of a convolution, whose weight it has
  FloatWinograd::Weights kept;
  reference::Tensor x;
  reference::Values weight, bias;
  reference::Tensor before;  // the addend, if there is one
};

Case random_case(Rng& rng) {
  const std::size_t stride = rng.chance(0.5) ? 1 : 2;
  const ConvShape shape = random_winograd_shape(rng, 600e3, stride);
  using Weights = FloatWinograd::Weights;
  const bool transposed = stride == 1 && rng.chance(0.5);
  return {shape,
          transposed,
          !transposed && rng.chance(0.5) ? Weights::kTaps : Weights::kPoints,
          random_tensor(rng, input_dims(shape), Data::kReals),
          random_values(rng, shape.weight_elements(), Data::kReals),
          random_values(rng, shape.out_c, Data::kReals),
          random_tensor(rng, output_dims(shape), Data::kReals)};
}

std::string describe(const Case& c, const KernelTable& kernels) {
  const bool taps = c.kept == FloatWinograd::Weights::kTaps;
  return text_of(kernels.isa, ", ", c.transposed ? "transposed " : "", taps ? "taps, " : "", c.shape);
}

// Runs the parts of a team of `members` one after the other. `planned`: size of the team that the plan is made for.
// Weights come from a plan for another size of image.
reference::Values run(Rng& rng, const Case& c, const KernelTable& kernels, std::size_t planned, std::size_t members,
                      bool with_bias, ConvOptions options) {
  GuardedMemory memory(rng);
  const std::size_t halo = rng.between(1, 2), out_halo = rng.between(0, 2);
  const Panels panels = FloatWinograd::choose(c.shape, kernels);
  ConvShape nominal = c.shape;
  nominal.n = 1;
  nominal.in_h = nominal.in_w = rng.between(1, 30);
  const FloatWinograd packer(nominal, panels, 1, kernels, c.kept), plan(c.shape, panels, planned, kernels, c.kept);

  float* packed = memory.floats(plan.weight_bytes() / sizeof(float));
  const float* weight = memory.floats(c.weight);
  const int threads = static_cast<int>(rng.between(1, 2));
  if (c.transposed)
    packer.pack_transposed_weights(weight, packed, threads);
  else
    packer.pack_weights(weight, packed, threads);
  float* bias = nullptr;
  if (with_bias) panels.spread(memory.floats(c.bias), c.shape.groups, bias = memory.floats(c.shape.out_c));

  const FeatureMap in = memory.map(c.x, halo);
  const MapShape out_shape{c.shape.n, c.shape.out_c, c.shape.out_h(), c.shape.out_w(), out_halo};
  const bool elsewhere = rng.chance(0.5);  // whether the addend has memory of its own
  const FeatureMap addend = memory.map(c.before, elsewhere ? rng.between(0, 2) : out_halo);
  options.addend = &addend;
  const FeatureMap out = options.accumulate && !elsewhere ? addend : memory.map(out_shape);
  const auto scratch = scratch_of(memory, members, plan.scratch_bytes());
  run_in_pieces(rng, plan.items(), members, [&](const Tile& items, std::size_t member, bool first) {
    plan.run_items(in, packed, {bias, options}, out, scratch[member], items, first);
  });
  CHECK(zero_border(out), describe(c, kernels));
  return read(out).data;
}

reference::Values expected_of(const Case& c) {
  const reference::Convolution conv = reference_of(c.shape);
  if (!c.transposed) return reference::convolve(c.x, c.weight, {}, conv).data;
  return reference::convolution_data_gradient(c.x, c.weight, reference_of(turned(c.shape)), output_dims(c.shape)).data;
}

// Kernels so deep that their points are computed in several steps.
TEST(winograd_of_deep_kernels) {
  test.repeat(60, [&](Rng& rng) {
    Case c;
    const std::size_t side = rng.between(2, 6), stride = rng.between(1, 2), depth = 16 * rng.between(9, 25);
    c.shape = {1, depth, side, side, 16 * rng.between(1, 3), 3, stride, 1, 1, 1};
    c.transposed = false;
    c.kept = rng.chance(0.7) ? FloatWinograd::Weights::kTaps : FloatWinograd::Weights::kPoints;
    c.x = random_tensor(rng, input_dims(c.shape), Data::kReals);
    c.weight = random_values(rng, c.shape.weight_elements(), Data::kReals);
    c.before = random_tensor(rng, output_dims(c.shape), Data::kReals);
    const reference::Values expected = expected_of(c);
    for (const KernelTable* kernels : float_kernels()) {
      const double error = relative_l2(run(rng, c, *kernels, 1, 1, false, {}), expected);
      CHECK(error <= kLargestError, describe(c, *kernels), ": relative error ", error);
    }
  });
}

TEST(winograd_equals_reference) {
  std::vector<double> errors;
  test.repeat(1600, [&](Rng& rng) {
    const Case c = random_case(rng);
    const reference::Values expected = expected_of(c);
    for (const KernelTable* kernels : float_kernels()) {
      const double error = relative_l2(run(rng, c, *kernels, 1, 1, false, {}), expected);
      CHECK(error <= kLargestError, describe(c, *kernels), ": relative error ", error);
      errors.push_back(error);
    }
  });
  std::sort(errors.begin(), errors.end());
  CHECK(errors[errors.size() / 2] <= kTypicalError, "a typical error of ", errors[errors.size() / 2]);
}

// Bias, addend and clamp are applied to the rounded sums, each exactly.
TEST(winograd_options) {
  test.repeat(600, [](Rng& rng) {
    const Case c = random_case(rng);
    const Clamp clamp = random_clamp(rng);
    const ConvOptions options{rng.chance(0.5), rng.chance(0.5) ? &clamp : nullptr};
    const bool with_bias = rng.chance(0.5);
    const std::size_t pixels = c.shape.out_h() * c.shape.out_w();
    for (const KernelTable* kernels : float_kernels()) {
      reference::Values expected = run(rng, c, *kernels, 1, 1, false, {});
      for (std::size_t i = 0; i < expected.size(); ++i) {
        float value = static_cast<float>(expected[i]);
        if (with_bias) value += static_cast<float>(c.bias[i / pixels % c.shape.out_c]);
        if (options.accumulate) value += static_cast<float>(c.before.data[i]);
        if (options.clamp != nullptr) value = std::clamp(value, clamp.low, clamp.high);
        expected[i] = static_cast<double>(value);
      }
      CHECK_VALUES(run(rng, c, *kernels, 1, 1, with_bias, options), expected, kEitherZero, describe(c, *kernels));
    }
  });
}

TEST(winograd_on_any_team) {
  test.repeat(200, [](Rng& rng) {
    const Case c = random_case(rng);
    constexpr std::size_t kTeams[]{1, 2, 3, 7};
    for (const KernelTable* kernels : float_kernels()) {
      const reference::Values expected = run(rng, c, *kernels, 1, 1, true, {false, &kReluClamp});
      for (std::size_t members : kTeams) {
        const std::size_t planned = rng.chance(0.5) ? members : rng.pick(kTeams);
        CHECK_VALUES(run(rng, c, *kernels, planned, members, true, {false, &kReluClamp}), expected, 0.0,
                     describe(c, *kernels), ", ", members, " members on a plan for ", planned);
      }
    }
  });
}

// An image's result does not depend on the images around it.
TEST(winograd_image_alone) {
  test.repeat(200, [](Rng& rng) {
    const Case c = random_case(rng);
    const std::size_t image = rng.between(0, c.shape.n - 1);
    Case alone = c;
    alone.shape.n = alone.x.dims.n = alone.before.dims.n = 1;
    const auto part = [&](const reference::Values& values) {
      const std::size_t floats = values.size() / c.shape.n;
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(image * floats);
      return reference::Values(first, first + static_cast<std::ptrdiff_t>(floats));
    };
    alone.x.data = part(c.x.data);
    alone.before.data = part(c.before.data);
    for (const KernelTable* kernels : float_kernels())
      CHECK_VALUES(run(rng, alone, *kernels, 1, 1, true, {}), part(run(rng, c, *kernels, 1, 1, true, {})), 0.0,
                   describe(c, *kernels), ", image ", image);
  });
}

// NaN spreads within its tile, but not to other groups or other images.
TEST(winograd_nan_stays_in_group_and_image) {
  test.repeat(200, [](Rng& rng) {
    const Case clean = random_case(rng);
    const ConvShape& shape = clean.shape;
    Case poisoned = clean;
    const std::size_t image = rng.between(0, shape.n - 1), channel = rng.between(0, shape.in_c - 1);
    poisoned.x.at(image, channel, rng.between(0, shape.in_h - 1), rng.between(0, shape.in_w - 1)) =
        std::numeric_limits<double>::quiet_NaN();
    const std::size_t group = channel / (shape.in_c / shape.groups);
    for (const KernelTable* kernels : float_kernels()) {
      const reference::Values expected = run(rng, clean, *kernels, 1, 1, true, {}),
                              received = run(rng, poisoned, *kernels, 1, 1, true, {});
      std::size_t reached = 0, leaked = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t c = i / (shape.out_h() * shape.out_w()) % shape.out_c, n = i / (expected.size() / shape.n);
        const bool same_part = n == image && c / (shape.out_c / shape.groups) == group;
        if (received[i] != expected[i]) ++(same_part ? reached : leaked);
      }
      CHECK(reached > 0 && leaked == 0, describe(clean, *kernels), ": ", reached, " reached, ", leaked, " leaked");
    }
  });
}

TEST(winograd_supports) {
  const ConvShape good{1, 32, 5, 5, 48, 3, 1, 1, 1, 1};
  CHECK(FloatWinograd::supports(good), good);
  const auto changed = [&](std::size_t ConvShape::* member, std::size_t value) {
    ConvShape shape = good;
    shape.*member = value;
    return shape;
  };
  CHECK(FloatWinograd::supports(changed(&ConvShape::stride, 2)), "stride 2");
  for (const ConvShape& shape :
       {changed(&ConvShape::kernel, 5), changed(&ConvShape::kernel, 1), changed(&ConvShape::stride, 3),
        changed(&ConvShape::padding, 0), changed(&ConvShape::padding, 2), changed(&ConvShape::dilation, 2),
        changed(&ConvShape::in_c, 40), changed(&ConvShape::out_c, 8), changed(&ConvShape::groups, 4)})
    CHECK(!FloatWinograd::supports(shape), shape);
}

}  // namespace
}  // namespace qarepvgg::test
