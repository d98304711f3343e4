// Convolution, fused with bias and ReLU, on every instruction set against the reference.
#include <algorithm>

#include "ops/convolution.h"
#include "reference/elementwise.h"
#include "reference/im2col_gemm.h"
#include "test/conv_cases.h"
#include "test/guarded_memory.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

void forward_case(Rng& rng, const ConvShape& shape, Data data) {
  const reference::Tensor x = random_tensor(rng, input_dims(shape), data);
  const reference::Tensor before = random_tensor(rng, output_dims(shape), data);
  const reference::Values weight = random_values(rng, shape.weight_elements(), data);
  const reference::Values bias = random_values(rng, rng.chance(0.5) ? shape.out_c : 0, data);
  const Clamp clamp = random_clamp(rng);
  ConvOptions options{rng.chance(0.5), rng.chance(0.5) ? &clamp : nullptr};
  const bool elsewhere = rng.chance(0.5);  // whether the addend has memory of its own
  const std::size_t extra_halo = rng.between(0, 1), out_halo = rng.between(0, 1);

  reference::Tensor expected = reference::convolve(x, weight, bias, reference_of(shape));
  if (options.accumulate) expected = reference::add({&expected, &before});
  if (options.clamp != nullptr)
    for (double& value : expected.data)
      value = std::clamp(value, static_cast<double>(clamp.low), static_cast<double>(clamp.high));
  const std::size_t terms = shape.weight_elements() / shape.out_c + 2;  // 2: bias and addend
  const double tolerance = sum_tolerance(data, 1, terms);

  for (const KernelTable* kernels : float_kernels()) {
    GuardedMemory memory(rng);
    const FloatConvolution plan = FloatConvolution::forward(shape, *kernels);
    float* packed = memory.floats(plan.weight_bytes() / sizeof(float));
    plan.pack_weights(memory.floats(weight), packed, 1);
    float* packed_bias = nullptr;
    if (!bias.empty())
      plan.panels().spread(memory.floats(bias), shape.groups,
                           packed_bias = memory.floats(shape.groups * plan.panels().padded()));
    const FeatureMap in = memory.map(x, shape.padding + extra_halo);
    const MapShape out_shape{shape.n, shape.out_c, shape.out_h(), shape.out_w(), out_halo};
    const FeatureMap addend = memory.map(before, elsewhere ? rng.between(0, 2) : out_halo);
    options.addend = &addend;
    const FeatureMap out = options.accumulate && !elsewhere ? addend : memory.map(out_shape);
    plan.run(in, packed, {packed_bias, options}, out, 1);
    CHECK_VALUES(read(out).data, expected.data, tolerance, kernels->isa, ", ", shape);
    CHECK(zero_border(out), kernels->isa, ", ", shape);
  }
}

const bool registered = register_convolution_sweep("conv_forward", forward_case);

// An item is one panel over a block of rows.
TEST(conv_reads_streamed_weights_once) {
  for (const KernelTable* kernels : float_kernels()) {
    const FloatConvolution deep = FloatConvolution::forward({1, 1024, 14, 14, 1024, 3, 2, 1, 1, 1}, *kernels);
    CHECK(deep.items() == deep.panels().count(), kernels->isa, ": ", deep.items());
    const FloatConvolution wide = FloatConvolution::forward({1, 256, 64, 64, 64, 3, 1, 1, 1, 1}, *kernels);
    CHECK(wide.items() > wide.panels().count(), kernels->isa, ": ", wide.items());
  }
}

// The textbook convolution is a second oracle, and the benchmark's baseline.
TEST(im2col_convolution) {
  test.repeat(2000, [](Rng& rng) {
    const ConvShape s = random_convolution(rng);
    const reference::Tensor x = random_tensor(rng, input_dims(s), Data::kIntegers);
    const reference::Values weight = random_values(rng, s.weight_elements(), Data::kIntegers);
    const reference::Values bias = random_values(rng, rng.chance(0.5) ? s.out_c : 0, Data::kIntegers);
    const bool relu = rng.chance(0.5);
    reference::Tensor expected = reference::convolve(x, weight, bias, reference_of(s));
    if (relu) expected = reference::relu(expected);

    GuardedMemory memory(rng);
    const reference::Im2colShape shape{s.n,      s.in_c,   s.in_h,    s.in_w,     s.out_c,
                                       s.kernel, s.stride, s.padding, s.dilation, s.groups};
    float* y = memory.floats(expected.data.size());
    reference::im2col_convolution(shape, memory.floats(x.data), memory.floats(weight),
                                  bias.empty() ? nullptr : memory.floats(bias), relu, y,
                                  memory.floats(shape.patch_floats()), 1);
    CHECK_VALUES(read(y, expected.data.size()), expected.data, 0.0, s);
  });
}

}  // namespace
}  // namespace qarepvgg::test
