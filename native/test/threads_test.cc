// Every op computes the same bits on 1, 2, 3 and 7 threads.
#include <vector>

#include "ops/batch_norm.h"
#include "ops/convolution.h"
#include "ops/elementwise.h"
#include "ops/weight_gradient.h"
#include "test/conv_cases.h"
#include "test/guarded_memory.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// op(threads) returns everything that it computed as one list; it may fill in `where`.
template <class Op>
void check_threads(const std::string& where, const Op& op) {
  const reference::Values expected = op(1);
  for (int threads : {2, 3, 7}) CHECK_VALUES(op(threads), expected, 0.0, where, ", ", threads, " threads");
}

void append(reference::Values& all, const reference::Values& values) {
  all.insert(all.end(), values.begin(), values.end());
}

// Dims large enough for several chunks of rows.
reference::Dims large_dims(Rng& rng) {
  return {rng.between(1, 3), random_channels(rng), rng.between(2, 60), rng.between(1, 40)};
}

TEST(threads_convolution) {
  test.repeat(100, [](Rng& rng) {
    const ConvShape shape = random_convolution(rng);
    const reference::Tensor x = random_tensor(rng, input_dims(shape), Data::kReals);
    const reference::Tensor grad_y = random_tensor(rng, output_dims(shape), Data::kReals);
    const reference::Values weight = random_values(rng, shape.weight_elements(), Data::kReals);
    const reference::Values bias = random_values(rng, shape.out_c, Data::kReals);
    for (const KernelTable* kernels : float_kernels())
      check_threads(text_of(kernels->isa, ", ", shape), [&](int threads) {
        GuardedMemory memory(rng);
        reference::Values all;
        float* weights = memory.floats(weight);
        const FeatureMap in = memory.map(x, shape.padding), grad_x = memory.map(in.shape);
        const FeatureMap grad_out = memory.map(grad_y, FloatConvolution::data_gradient_halo(shape));
        const FeatureMap out = memory.map(grad_out.shape);

        const FloatConvolution forward = FloatConvolution::forward(shape, *kernels);
        float *packed = memory.floats(forward.weight_bytes() / sizeof(float)),
              *packed_bias = memory.floats(shape.groups * forward.panels().padded());
        forward.pack_weights(weights, packed, threads);
        forward.panels().spread(memory.floats(bias), shape.groups, packed_bias);
        forward.run(in, packed, {packed_bias, {false, &kReluClamp}}, out, threads);
        append(all, read(out).data);

        const FloatConvolution backward = FloatConvolution::data_gradient(shape, *kernels);
        float* packed_back = memory.floats(backward.weight_bytes() / sizeof(float));
        backward.pack_transposed_weights(weights, packed_back, threads);
        backward.run(grad_out, packed_back, {}, grad_x, threads);
        append(all, read(grad_x).data);

        const WeightGradient plan(shape, *kernels);
        float* grad_weight = memory.floats(weight);
        plan.run(in, grad_out, memory.floats(plan.workspace_floats()), grad_weight, threads);
        append(all, read(grad_weight, weight.size()));
        return all;
      });
  });
}

TEST(threads_batch_norm) {
  test.repeat(40, [](Rng& rng) {
    const reference::Tensor x = random_tensor(rng, large_dims(rng), Data::kReals);
    const reference::Tensor grad_y = random_tensor(rng, x.dims, Data::kReals);
    const std::size_t channels = x.dims.c;
    const reference::Values gamma = random_values(rng, channels, Data::kReals), zeros(channels, 0.0);
    for (const KernelTable* kernels : float_kernels())
      check_threads(text_of(kernels->isa, ", ", x.dims), [&](int threads) {
        GuardedMemory memory(rng);
        const FeatureMap in = memory.map(x, 1), grad = memory.map(grad_y, 0);
        const FeatureMap out = memory.map(in.shape), grad_x = memory.map(grad.shape);
        float *mean = memory.floats(zeros), *var = memory.floats(zeros),
              *batches = memory.floats(reference::Values{0.0}), *grad_weight = memory.floats(zeros),
              *grad_bias = memory.floats(zeros);
        const BatchNorm norm(in.shape, *kernels);
        float* saved = memory.floats(norm.saved_floats());
        norm.measure(in, saved, threads);
        norm.settle(1e-5, {mean, var, batches, 0.1}, saved, threads);
        norm.normalize({in, nullptr, out, &kReluClamp}, {memory.floats(gamma), memory.floats(gamma)}, saved, {},
                       threads);
        norm.sum(grad, in, true, saved, threads);
        norm.backward({grad, in, grad_x, true, false, true, grad_weight, grad_bias}, saved,
                      memory.floats(norm.backward_workspace_floats()), {}, threads);
        reference::Values all = read(out).data;
        append(all, read(grad_x).data);
        for (const float* values : {mean, var, grad_weight, grad_bias}) append(all, read(values, channels));
        return all;
      });
  });
}

TEST(threads_elementwise) {
  test.repeat(40, [](Rng& rng) {
    const reference::Tensor a = random_tensor(rng, large_dims(rng), Data::kReals);
    const reference::Tensor b = random_tensor(rng, a.dims, Data::kReals);
    for (const KernelTable* kernels : float_kernels())
      check_threads(text_of(kernels->isa, ", ", a.dims), [&](int threads) {
        GuardedMemory memory(rng);
        reference::Values all;
        const FeatureMap x = memory.map(a, 1), y = memory.map(b, 0);
        const FeatureMap* operands[]{&x, &y};
        const auto with_result = [&](const auto& op) {
          const FeatureMap out = memory.map(x.shape);
          op(out);
          append(all, read(out).data);
        };
        with_result([&](const FeatureMap& out) { add_maps(operands, 2, &kReluClamp, out, *kernels, threads); });
        with_result([&](const FeatureMap& out) { scale_map(x, 0.3f, false, out, *kernels, threads); });
        with_result([&](const FeatureMap& out) { relu_backward(x, y, false, out, *kernels, threads); });
        with_result([&](const FeatureMap& out) { average3x3(x, false, out, *kernels, threads); });
        with_result(
            [&](const FeatureMap& out) { import_nchw(memory.floats(b.data), out, {}, active_kernels(), threads); });
        float *nchw = memory.floats(a.data.size()), *sums = memory.floats(reference::Values(a.dims.c, 0.0)),
              *workspace = memory.floats(sum_workspace_floats(x.shape));
        export_nchw(x, nchw, active_kernels(), threads);
        append(all, read(nchw, a.data.size()));
        append(all, {dot_maps(x, y, workspace, *kernels, threads)});
        add_channel_sums(x, workspace, sums, *kernels, threads);
        append(all, read(sums, a.dims.c));
        return all;
      });
  });
}

}  // namespace
}  // namespace qarepvgg::test
