// The three gradients of a convolution on every instruction set against the reference.
#include "ops/convolution.h"
#include "ops/elementwise.h"
#include "ops/weight_gradient.h"
#include "reference/elementwise.h"
#include "test/conv_cases.h"
#include "test/guarded_memory.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

void data_gradient_case(Rng& rng, const ConvShape& shape, Data data) {
  const reference::Tensor grad_y = random_tensor(rng, output_dims(shape), data);
  const reference::Tensor before = random_tensor(rng, input_dims(shape), data);
  // Weights must be finite, because the zeros of the halo are multiplied by them, too.
  const Data finite = data == Data::kReals ? Data::kReals : Data::kIntegers;
  const reference::Values weight = random_values(rng, shape.weight_elements(), finite);
  const bool accumulate = rng.chance(0.5);
  const std::size_t extra_halo = rng.between(0, 1), out_halo = rng.between(0, 2);

  reference::Tensor expected =
      reference::convolution_data_gradient(grad_y, weight, reference_of(shape), input_dims(shape));
  if (accumulate) expected = reference::add({&expected, &before});
  const std::size_t terms = shape.weight_elements() / (shape.in_c / shape.groups) / shape.groups + 1;
  const double tolerance = sum_tolerance(data, 1, terms);

  for (const KernelTable* kernels : float_kernels()) {
    GuardedMemory memory(rng);
    const FloatConvolution plan = FloatConvolution::data_gradient(shape, *kernels);
    float* packed = memory.floats(plan.weight_bytes() / sizeof(float));
    plan.pack_transposed_weights(memory.floats(weight), packed, 1);
    const FeatureMap in = memory.map(grad_y, FloatConvolution::data_gradient_halo(shape) + extra_halo);
    const MapShape out_shape{shape.n, shape.in_c, shape.in_h, shape.in_w, out_halo};
    const FeatureMap out = accumulate ? memory.map(before, out_halo) : memory.map(out_shape);
    plan.run(in, packed, {nullptr, {accumulate}}, out, 1);
    CHECK_VALUES(read(out).data, expected.data, tolerance, kernels->isa, ", ", shape);
    CHECK(zero_border(out), kernels->isa, ", ", shape);
  }
}

void weight_gradient_case(Rng& rng, const ConvShape& shape, Data data) {
  const reference::Tensor x = random_tensor(rng, input_dims(shape), data);
  const reference::Tensor grad_y = random_tensor(rng, output_dims(shape), data);
  const reference::Values weight_before = random_values(rng, shape.weight_elements(), data);
  const reference::Values bias_before = random_values(rng, shape.out_c, data);
  const std::size_t x_halo = shape.padding + rng.between(0, 1), grad_halo = rng.between(0, 1);

  reference::Values weight = reference::convolution_weight_gradient(x, grad_y, reference_of(shape));
  reference::Values bias = reference::convolution_bias_gradient(grad_y);
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] += weight_before[i];
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] += bias_before[i];
  const double tolerance = sum_tolerance(data, 1, shape.n * shape.out_h() * shape.out_w() + 1);

  for (const KernelTable* kernels : float_kernels()) {
    GuardedMemory memory(rng);
    const WeightGradient plan(shape, *kernels);
    const FeatureMap in = memory.map(x, x_halo), grad = memory.map(grad_y, grad_halo);
    float* weight_out = memory.floats(weight_before);
    plan.run(in, grad, memory.floats(plan.workspace_floats()), weight_out, 1);
    CHECK_VALUES(read(weight_out, weight.size()), weight, tolerance, kernels->isa, ", weight, ", shape);

    float* bias_out = memory.floats(bias_before);
    add_channel_sums(grad, memory.floats(sum_workspace_floats(grad.shape)), bias_out, *kernels, 1);
    CHECK_VALUES(read(bias_out, bias.size()), bias, tolerance, kernels->isa, ", bias, ", shape);
  }
}

const bool data_registered = register_convolution_sweep("conv_data_gradient", data_gradient_case);

// No tap reaches three quarters of the input's pixels, and the gradient is large enough to be prefetched.
TEST(conv_data_gradient_of_large_map_without_taps) {
  test.repeat(2, [](Rng& rng) { data_gradient_case(rng, {1, 16, 96, 96, 32, 1, 2, 0, 1, 1}, Data::kReals); });
}
const bool weight_registered = register_convolution_sweep("conv_weight_gradient", weight_gradient_case);

// Of four pixels, one gets a gradient through the kernel, so three of the four sums have no terms. The gradient of the
// output is larger than the caches, so that its next rows are prefetched.
TEST(conv_data_gradient_of_a_large_image_in_steps) {
  test.repeat(4, [](Rng& rng) {
    data_gradient_case(rng, {1, rng.between(1, 20), 130, 131, rng.between(1, 20), 1, 2, 0, 1, 1}, Data::kIntegers);
  });
}

}  // namespace
}  // namespace qarepvgg::test
