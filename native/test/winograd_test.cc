// Convolution by Winograd's algorithm, forward and as data gradient, on every instruction set against the reference.
#include "ops/winograd.h"

#include <limits>
#include <utility>

#include "kernels/dispatch.h"
#include "reference/elementwise.h"
#include "test/conv_cases.h"
#include "test/guarded_memory.h"

namespace qarepvgg::test {
namespace {

constexpr double kMaxRelativeL2 = 1e-6;

ConvShape random_shape(Rng& rng) {
  for (;;) {
    const std::size_t groups = rng.chance(0.7) ? 1 : rng.between(2, 3);
    const auto channels = [&] { return groups * kAlignedFloats * rng.between(1, 5); };
    const ConvShape shape{rng.between(1, 3), channels(), rng.between(1, 25), rng.between(1, 25), channels(), 3, 1, 1, 1,
                          groups};
    if (shape.macs() <= 1e6) return shape;
  }
}

// What one run computes with: weight in the layout of the forward convolution, whichever way this one goes.
struct Call {
  ConvShape shape;
  bool transposed = false;
  reference::Tensor x, before;
  reference::Values weight, bias;
  ConvOptions options;
};

// All members of a team, one after the other.
reference::Tensor run(const Call& call, const KernelTable& kernels, std::size_t members, Rng& rng) {
  const ConvShape& shape = call.shape;
  GuardedMemory memory(rng);
  const WinogradConvolution plan(shape, WinogradConvolution::choose(shape, kernels), members, kernels);
  float *packed = memory.floats(plan.weight_floats()), *weight = memory.floats(call.weight), *packed_bias = nullptr;
  if (call.transposed)
    plan.pack_transposed_weights(weight, packed, 1);
  else
    plan.pack_weights(weight, packed, 1);
  if (!call.bias.empty()) plan.pack_bias(memory.floats(call.bias), packed_bias = memory.floats(plan.bias_floats()));
  const FeatureMap in = memory.map(call.x, rng.between(1, 2));
  const std::size_t halo = rng.between(0, 2);
  const FeatureMap out = call.options.accumulate
                             ? memory.map(call.before, halo)
                             : memory.map({shape.n, shape.out_c, shape.in_h, shape.in_w, halo});
  for (std::size_t member = 0; member < members; ++member)
    plan.run_part(in, packed, packed_bias, out, call.options, memory.floats(plan.scratch_floats()), {member, members});
  CHECK(zero_border(out), kernels.isa, ", ", shape);
  return read(out);
}

Call random_call(Rng& rng) {
  Call call;
  call.shape = random_shape(rng);
  call.x = random_tensor(rng, input_dims(call.shape), Data::kReals);
  call.before = random_tensor(rng, output_dims(call.shape), Data::kReals);
  call.weight = random_values(rng, call.shape.weight_elements(), Data::kReals);
  if (rng.chance(0.5)) call.bias = random_values(rng, call.shape.out_c, Data::kReals);
  call.options = {rng.chance(0.3), rng.chance(0.5)};
  return call;
}

void check(const Call& call, reference::Tensor expected, Rng& rng) {
  if (call.options.accumulate) expected = reference::add({&expected, &call.before});
  if (call.options.relu) expected = reference::relu(expected);
  const double tolerance = sum_tolerance(Data::kReals, 1, call.shape.weight_elements() / call.shape.out_c + 2);
  for (const KernelTable* kernels : available_kernels()) {
    const reference::Tensor received = run(call, *kernels, 1, rng);
    CHECK_VALUES(received.data, expected.data, tolerance, kernels->isa, ", ", call.shape);
    const double error = relative_l2(received.data, expected.data);
    CHECK(error <= kMaxRelativeL2, error, ", ", kernels->isa, ", ", call.shape);
  }
}

TEST(winograd_forward) {
  test.repeat(600, [](Rng& rng) {
    const Call call = random_call(rng);
    check(call, reference::convolve(call.x, call.weight, call.bias, reference_of(call.shape)), rng);
  });
}

TEST(winograd_data_gradient) {
  test.repeat(600, [](Rng& rng) {
    Call call = random_call(rng);
    call.transposed = true;
    call.bias.clear();
    call.options.relu = false;
    ConvShape forward = call.shape;
    std::swap(forward.in_c, forward.out_c);
    check(call, reference::convolution_data_gradient(call.x, call.weight, reference_of(forward), input_dims(forward)),
          rng);
  });
}

// The work is cut differently for every team; what is computed is not.
TEST(winograd_members) {
  test.repeat(200, [](Rng& rng) {
    const Call call = random_call(rng);
    for (const KernelTable* kernels : available_kernels()) {
      const reference::Tensor expected = run(call, *kernels, 1, rng);
      for (std::size_t members : {2, 3, 7})
        CHECK_VALUES(run(call, *kernels, members, rng).data, expected.data, 0.0, kernels->isa, ", ", members,
                     " members, ", call.shape);
    }
  });
}

// NaN spreads within its tile, but not to other groups or other images.
TEST(winograd_nan_stays_in_group_and_image) {
  test.repeat(200, [](Rng& rng) {
    Call call = random_call(rng);
    call.options.accumulate = false;
    for (const KernelTable* kernels : available_kernels()) {
      const reference::Tensor clean = run(call, *kernels, 1, rng);
      Call poisoned = call;
      const std::size_t image = rng.between(0, call.shape.n - 1), channel = rng.between(0, call.shape.in_c - 1);
      poisoned.x.at(image, channel, rng.between(0, call.shape.in_h - 1), rng.between(0, call.shape.in_w - 1)) =
          std::numeric_limits<double>::quiet_NaN();
      const std::size_t group = channel / (call.shape.in_c / call.shape.groups);
      const reference::Tensor received = run(poisoned, *kernels, 1, rng);
      bool reached = false, leaked = false;
      reference::for_each_element(clean.dims, [&](auto n, auto c, auto y, auto x) {
        const bool changed = !(received.at(n, c, y, x) == clean.at(n, c, y, x));
        const bool same_part = n == image && c / (call.shape.out_c / call.shape.groups) == group;
        reached = reached || (same_part && changed);
        leaked = leaked || (!same_part && changed);
      });
      CHECK(reached && !leaked, kernels->isa, ", ", call.shape);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
