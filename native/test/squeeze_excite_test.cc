// Squeeze-and-excitation, forward and backward, on every instruction set against the reference. gradient_check_test.cc
// compares the gradients of the reference with central differences.
#include "ops/squeeze_excite.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "reference/elementwise.h"
#include "reference/squeeze_excite.h"
#include "test/guarded_memory.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr double kTolerance = 2e-6, kGradientTolerance = 1e-5, kMargin = 1e-5;

struct Case {
  reference::Tensor x, grad_y, before;
  std::size_t reduced;
  reference::SqueezeExcite weights, gradients_before;
};

reference::SqueezeExcite random_weights(Rng& rng, std::size_t channels, std::size_t reduced) {
  const auto values = [&](std::size_t count) { return random_values(rng, count, Data::kReals); };
  return {values(reduced * channels), values(reduced), values(channels * reduced), values(channels)};
}

// Keeps inputs of the inner ReLU away from zero, so that rounding does not decide which gradients pass.
Case random_case(Rng& rng) {
  for (;;) {
    const reference::Dims dims = small_dims(rng);
    const std::size_t reduced = rng.between(1, 20);
    Case c{random_tensor(rng, dims, Data::kReals), random_tensor(rng, dims, Data::kReals),
           random_tensor(rng, dims, Data::kReals), reduced,
           random_weights(rng, dims.c, reduced),   random_weights(rng, dims.c, reduced)};
    const reference::Tensor hidden = reference::squeeze(c.x, c.weights);
    const auto near_kink = [](double value) { return std::abs(value) < kMargin; };
    if (std::none_of(hidden.data.begin(), hidden.data.end(), near_kink)) return c;
  }
}

TEST(squeeze_excite) {
  test.repeat(500, [](Rng& rng) {
    const Case c = random_case(rng);
    const reference::Dims& dims = c.x.dims;
    const bool relu = rng.chance(0.5), accumulate = rng.chance(0.5);
    reference::Tensor y = reference::excite(c.x, reference::relu(reference::squeeze(c.x, c.weights)), c.weights);
    if (relu) y = reference::relu(y);
    auto expected = reference::squeeze_excite_gradients(c.x, c.grad_y, c.weights);
    if (accumulate) expected.x = reference::add({&expected.x, &c.before});
    reference::Values* const sums[]{&expected.weights.down, &expected.weights.down_bias, &expected.weights.up,
                                    &expected.weights.up_bias};
    const reference::Values* const before[]{&c.gradients_before.down, &c.gradients_before.down_bias,
                                            &c.gradients_before.up, &c.gradients_before.up_bias};
    double scale = std::max(1.0, largest(expected.x.data));
    for (int i = 0; i < 4; ++i) {
      std::transform(sums[i]->begin(), sums[i]->end(), before[i]->begin(), sums[i]->begin(), std::plus<>());
      scale = std::max(scale, largest(*sums[i]));
    }

    for (const KernelTable* kernels : float_kernels()) {
      GuardedMemory memory(rng);
      const MapShape shape{dims.n, dims.c, dims.h, dims.w, rng.between(0, 2)};
      const SqueezeExcite gate(shape, c.reduced, *kernels);
      const SqueezeExciteWeights weights{c.reduced, memory.floats(c.weights.down), memory.floats(c.weights.down_bias),
                                         memory.floats(c.weights.up), memory.floats(c.weights.up_bias)};
      const std::string where = text_of(kernels->isa, ", ", dims, " reduced to ", c.reduced);
      const FeatureMap x = memory.map(c.x, rng.between(0, 2)), out = memory.map(shape);
      float* saved = memory.floats(gate.saved_floats());
      const std::size_t cut = rng.between(0, dims.h);
      for (std::size_t image = 0; image < dims.n; ++image) {
        float* of_image = saved + image * gate.saved_per_image();
        gate.measure(x, image, weights, of_image);
        gate.apply(x, image, of_image, relu ? &kReluClamp : nullptr, out, 0, cut);
        gate.apply(x, image, of_image, relu ? &kReluClamp : nullptr, out, cut, dims.h);
      }
      CHECK_VALUES(read(out).data, y.data, kTolerance, where);
      CHECK(zero_border(out), where);

      reference::Values serial;
      for (int threads : {1, 2, 3, 7}) {
        const std::size_t halo = rng.between(0, 2);
        const FeatureMap grad_x =
            accumulate ? memory.map(c.before, halo) : memory.map(MapShape{dims.n, dims.c, dims.h, dims.w, halo});
        float* gradients[4];
        for (int i = 0; i < 4; ++i) gradients[i] = memory.floats(*before[i]);
        gate.backward(memory.map(c.grad_y, rng.between(0, 2)), x, weights, saved, accumulate, grad_x,
                      {gradients[0], gradients[1], gradients[2], gradients[3]}, threads);
        reference::Values all = read(grad_x).data;
        CHECK_VALUES(all, expected.x.data, kGradientTolerance * scale, where);
        CHECK(zero_border(grad_x), where);
        for (int i = 0; i < 4; ++i) {
          const reference::Values received = read(gradients[i], sums[i]->size());
          CHECK_VALUES(received, *sums[i], kGradientTolerance * scale, where, ", weight gradient ", i);
          all.insert(all.end(), received.begin(), received.end());
        }
        if (threads == 1) serial = all;
        CHECK_VALUES(all, serial, 0.0, where, ", ", threads, " threads");
      }
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
