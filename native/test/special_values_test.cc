// Values that careless kernels lose: NaN in one channel, denormal numbers.
#include <limits>

#include "ops/batch_norm.h"
#include "ops/convolution.h"
#include "ops/elementwise.h"
#include "test/guarded_memory.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// Runs an op that should return its input, on every instruction set, with denormal numbers. op(memory, kernels, x,
// out).
template <class Op>
void check_keeps_denormals(Test& test, const Op& op) {
  test.repeat(200, [&](Rng& rng) {
    constexpr double kDenormal = static_cast<double>(std::numeric_limits<float>::denorm_min());
    reference::Tensor x({1, random_channels(rng), random_extent(rng, 9), random_extent(rng, 9)});
    for (double& value : x.data) value = kDenormal * rng.integer(100);
    for (const KernelTable* kernels : float_kernels()) {
      GuardedMemory memory(rng);
      const FeatureMap in = memory.map(x, 0), out = memory.map(in.shape);
      op(memory, *kernels, in, out);
      CHECK_VALUES(read(out).data, x.data, 0.0, kernels->isa, ", ", x.dims);
    }
  });
}

TEST(denormals_pass_a_convolution) {
  check_keeps_denormals(
      test, [](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& x, const FeatureMap& out) {
        const std::size_t channels = x.shape.c;
        const FloatConvolution plan =
            FloatConvolution::forward({1, channels, x.shape.h, x.shape.w, channels, 1, 1, 0, 1, channels}, kernels);
        float* packed = memory.floats(plan.weight_bytes() / sizeof(float));
        plan.pack_weights(memory.floats(reference::Values(channels, 1.0)), packed, 1);
        plan.run(x, packed, {}, out, 1);
      });
}

TEST(denormals_pass_a_batch_norm) {
  check_keeps_denormals(
      test, [](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& x, const FeatureMap& out) {
        const BatchNorm norm(x.shape, kernels);
        float *zeros = memory.floats(reference::Values(x.shape.c, 0.0)),
              *ones = memory.floats(reference::Values(x.shape.c, 1.0)), *saved = memory.floats(norm.saved_floats());
        norm.recall(zeros, ones, 0, saved);
        norm.normalize({x, nullptr, out, nullptr}, {ones, zeros}, saved, {}, 1);
      });
}

TEST(denormals_pass_a_scale) {
  check_keeps_denormals(test, [](GuardedMemory&, const KernelTable& kernels, const FeatureMap& x,
                                 const FeatureMap& out) { scale_map(x, 1, false, out, kernels, 1); });
}

TEST(denormals_pass_a_sum) {
  check_keeps_denormals(
      test, [](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& x, const FeatureMap& out) {
        const FeatureMap zeros = memory.map(reference::Tensor({1, x.shape.c, x.shape.h, x.shape.w}), 1);
        const FeatureMap* operands[]{&x, &zeros};
        add_maps(operands, 2, nullptr, out, kernels, 1);
      });
}

}  // namespace
}  // namespace qarepvgg::test
