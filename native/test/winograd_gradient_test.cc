// The weight gradient by Winograd on every instruction set against the reference.
#include "ops/winograd_gradient.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "test/conv_cases.h"
#include "test/guarded_memory.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// The largest error and the median error of results: the transforms cost about one digit.
constexpr double kLargestError = 2e-5, kTypicalError = 1e-6;

struct Case {
  ConvShape shape;
  reference::Tensor x, grad_y;
  reference::Values before;  // the gradient is added to this
};

Case random_case(Rng& rng) {
  const ConvShape shape = random_winograd_shape(rng, 600e3);
  return {shape, random_tensor(rng, input_dims(shape), Data::kReals),
          random_tensor(rng, output_dims(shape), Data::kReals), reference::Values(shape.weight_elements())};
}

// `planned`: size of the team that the plan is made for.
reference::Values run(Rng& rng, const Case& c, const KernelTable& kernels, int planned, int threads) {
  GuardedMemory memory(rng);
  const WinogradWeightGradient plan(c.shape, planned, kernels);
  const FeatureMap in = memory.map(c.x, rng.between(1, 2)), grad = memory.map(c.grad_y, rng.between(0, 2));
  float* weight = memory.floats(c.before);
  plan.run(in, grad, memory.floats(plan.workspace_floats()), weight, threads);
  return read(weight, c.before.size());
}

TEST(winograd_weight_gradient_equals_reference) {
  std::vector<double> errors;
  test.repeat(1600, [&](Rng& rng) {
    const Case c = random_case(rng);
    const reference::Values expected = reference::convolution_weight_gradient(c.x, c.grad_y, reference_of(c.shape));
    for (const KernelTable* kernels : float_kernels()) {
      const double error = relative_l2(run(rng, c, *kernels, 1, 1), expected);
      CHECK(error <= kLargestError, kernels->isa, ", ", c.shape, ": relative error ", error);
      errors.push_back(error);
    }
  });
  std::sort(errors.begin(), errors.end());
  CHECK(errors[errors.size() / 2] <= kTypicalError, "a typical error of ", errors[errors.size() / 2]);
}

TEST(winograd_weight_gradient_is_added) {
  test.repeat(200, [](Rng& rng) {
    const Case c = random_case(rng);
    Case onto = c;
    onto.before = random_values(rng, c.before.size(), Data::kReals);
    for (const KernelTable* kernels : float_kernels()) {
      reference::Values expected = run(rng, c, *kernels, 1, 1);
      for (std::size_t i = 0; i < expected.size(); ++i)
        expected[i] = static_cast<double>(static_cast<float>(onto.before[i]) + static_cast<float>(expected[i]));
      CHECK_VALUES(run(rng, onto, *kernels, 1, 1), expected, 0.0, kernels->isa, ", ", c.shape);
    }
  });
}

// Shapes with enough tiles for several chunks.
TEST(winograd_weight_gradient_on_any_team) {
  test.repeat(60, [](Rng& rng) {
    const std::size_t groups = rng.between(1, 2);
    const ConvShape shape{rng.between(1, 6),
                          groups * 16 * rng.between(1, 2),
                          rng.between(40, 60),
                          rng.between(40, 60),
                          groups * 16 * rng.between(1, 2),
                          3,
                          1,
                          1,
                          1,
                          groups};
    const Case c{shape, random_tensor(rng, input_dims(shape), Data::kReals),
                 random_tensor(rng, output_dims(shape), Data::kReals), reference::Values(shape.weight_elements())};
    for (const KernelTable* kernels : float_kernels()) {
      const reference::Values expected = run(rng, c, *kernels, 1, 1);
      for (int threads : {2, 3, 7})
        CHECK_VALUES(run(rng, c, *kernels, threads, threads), expected, 0.0, kernels->isa, ", ", shape, ", ", threads,
                     " threads");
    }
  });
}

// NaN in one channel of the input or of the gradient reaches only the weights of that channel.
TEST(winograd_weight_gradient_nan_stays_in_channel) {
  test.repeat(200, [](Rng& rng) {
    const Case clean = random_case(rng);
    const ConvShape& shape = clean.shape;
    Case poisoned = clean;
    const bool in_x = rng.chance(0.5);
    reference::Tensor& where = in_x ? poisoned.x : poisoned.grad_y;
    const std::size_t channel = rng.between(0, where.dims.c - 1), depth = shape.in_c / shape.groups;
    where.at(rng.between(0, shape.n - 1), channel, rng.between(0, shape.in_h - 1), rng.between(0, shape.in_w - 1)) =
        std::numeric_limits<double>::quiet_NaN();
    for (const KernelTable* kernels : float_kernels()) {
      const reference::Values expected = run(rng, clean, *kernels, 1, 1), received = run(rng, poisoned, *kernels, 1, 1);
      std::size_t reached = 0, leaked = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t out = i / 9 / depth, in = out / (shape.out_c / shape.groups) * depth + i / 9 % depth;
        if (received[i] != expected[i]) ++((in_x ? in : out) == channel ? reached : leaked);
      }
      CHECK(reached > 0 && leaked == 0, kernels->isa, ", ", shape, ": ", reached, " reached, ", leaked, " leaked");
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
