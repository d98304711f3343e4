// Batch norm, forward and backward, on every instruction set against the reference.
#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/batch_norm.h"
#include "reference/elementwise.h"
#include "test/guarded_memory.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

struct Case {
  reference::Tensor x, addend, grad_y, before;  // before: content of grad_x when accumulating
  reference::BatchNorm norm;
  reference::Values weight_before, bias_before;
  bool training, relu, with_addend, accumulate;
  std::size_t x_halo, y_halo;
};

Case random_case(Rng& rng, const reference::Dims& dims, Data data) {
  const auto channels = [&](Data kind) { return random_values(rng, dims.c, kind); };
  Case c;
  c.x = random_tensor(rng, dims, data);
  c.addend = random_tensor(rng, dims, data);
  c.grad_y = random_tensor(rng, dims, data);
  c.before = random_tensor(rng, dims, data);
  c.norm = {channels(data), channels(data), channels(data), channels(data), 3, 0, 0.25};
  c.weight_before = channels(data);
  c.bias_before = channels(data);
  c.training = rng.chance(0.5);
  c.relu = rng.chance(0.5);
  c.with_addend = !c.relu && rng.chance(0.5);
  c.accumulate = rng.chance(0.5);
  c.x_halo = rng.between(0, 2);
  c.y_halo = rng.between(0, 2);
  return c;
}

// Nothing is rounded, because variances are powers of four and eps is 0. In training, every row holds pairs of values
// at the same distance from a whole mean, and the number of pixels is a power of two.
Case exact_case(Rng& rng) {
  const bool training = rng.chance(0.5);
  const auto power = [&](std::size_t low, std::size_t high) { return std::size_t{1} << rng.between(low, high); };
  reference::Dims dims = small_dims(rng);
  if (training) dims = {power(0, 2), random_extent(rng, 33), power(1, 4), power(1, 4)};
  Case c = random_case(rng, dims, Data::kIntegers);
  c.training = training;
  for (std::size_t channel = 0; channel < dims.c; ++channel) {
    const double deviation = std::ldexp(1.0, static_cast<int>(rng.between(0, 3)) - 1);
    c.norm.running_var[channel] = deviation * deviation;
    const double mean = c.x.at(0, channel, 0, 0);
    if (training)
      reference::for_each_element({dims.n, 1, dims.h, dims.w / 2}, [&](auto n, auto, auto row, auto pair) {
        const double side = rng.chance(0.5) ? deviation : -deviation;
        c.x.at(n, channel, row, 2 * pair) = mean + side;
        c.x.at(n, channel, row, 2 * pair + 1) = mean - side;
      });
  }
  return c;
}

Case real_case(Rng& rng) {
  reference::Dims dims = small_dims(rng);
  if (dims.h * dims.w == 1) dims.w = 2;
  Case c = random_case(rng, dims, Data::kReals);
  c.norm.eps = 1e-5;
  c.relu = false;  // rounding may move a value near zero to the other side
  for (double& var : c.norm.running_var) var = static_cast<double>(static_cast<float>(rng.uniform(0.01, 4)));
  return c;
}

struct Results {
  reference::Values y, grad_x, grad_weight, grad_bias, running_mean, running_var;
  double batches;
};

Results run_reference(const Case& c) {
  reference::BatchNorm norm = c.norm;
  reference::Statistics statistics{norm.running_mean, norm.running_var};
  if (c.training) {
    statistics = reference::batch_statistics(c.x);
    reference::update_running_statistics(norm, statistics, c.x.dims);
  }
  reference::Tensor y = reference::normalize(c.x, norm, statistics), grad_y = c.grad_y;
  if (c.with_addend) y = reference::add({&y, &c.addend});
  if (c.relu) {
    y = reference::relu(y);
    grad_y = reference::relu_gradient(grad_y, y);
  }
  auto grad = reference::batch_norm_gradients(c.x, grad_y, norm, statistics, c.training);
  if (c.accumulate) grad.x = reference::add({&grad.x, &c.before});
  for (std::size_t i = 0; i < c.x.dims.c; ++i) {
    grad.weight[i] += c.weight_before[i];
    grad.bias[i] += c.bias_before[i];
  }
  return {y.data, grad.x.data, grad.weight, grad.bias, norm.running_mean, norm.running_var, norm.batches};
}

Results run_native(const Case& c, const KernelTable& kernels, Rng& rng) {
  GuardedMemory memory(rng);
  const std::size_t channels = c.x.dims.c;
  const FeatureMap x = memory.map(c.x, c.x_halo);
  MapShape shape = x.shape;
  shape.halo = c.y_halo;
  const FeatureMap y = memory.map(shape), grad_y = memory.map(c.grad_y, c.y_halo);
  const FeatureMap grad_x = c.accumulate ? memory.map(c.before, c.x_halo) : memory.map(x.shape);
  const FeatureMap addend = memory.map(c.addend, c.x_halo);
  const BatchNormWeights weights{memory.floats(c.norm.weight), memory.floats(c.norm.bias)};
  float *running_mean = memory.floats(c.norm.running_mean), *running_var = memory.floats(c.norm.running_var);
  float *batches = memory.floats(reference::Values{c.norm.batches}), *grad_weight = memory.floats(c.weight_before),
        *grad_bias = memory.floats(c.bias_before);

  const BatchNorm norm(x.shape, kernels);
  float* saved = memory.floats(norm.saved_floats());
  if (c.training) {
    norm.measure(x, saved, 1);
    norm.settle(c.norm.eps, {running_mean, running_var, batches, c.norm.momentum}, saved, 1);
  } else {
    norm.recall(running_mean, running_var, c.norm.eps, saved);
  }
  norm.normalize({x, c.with_addend ? &addend : nullptr, y, c.relu ? &kReluClamp : nullptr}, weights, saved, {}, 1);
  norm.sum(grad_y, x, c.relu, saved, 1);
  norm.backward({grad_y, x, grad_x, c.relu, c.accumulate, c.training, grad_weight, grad_bias}, saved,
                memory.floats(norm.backward_workspace_floats()), {}, 1);
  CHECK(zero_border(y) && zero_border(grad_x), kernels.isa, ", ", x.shape);
  return {read(y).data,
          read(grad_x).data,
          read(grad_weight, channels),
          read(grad_bias, channels),
          read(running_mean, channels),
          read(running_var, channels),
          static_cast<double>(*batches)};
}

TEST(batch_norm_exact) {
  test.repeat(3000, [](Rng& rng) {
    const Case c = exact_case(rng);
    const Results expected = run_reference(c), scalar = run_native(c, *float_kernels().front(), rng);
    for (const KernelTable* kernels : float_kernels()) {
      const Results received = run_native(c, *kernels, rng);
      const std::string where = text_of(kernels->isa, c.training ? ", training " : ", evaluation ", c.x.dims);
      CHECK_VALUES(received.y, scalar.y, 0.0, where);
      CHECK_VALUES(received.grad_x, scalar.grad_x, 0.0, where);
      CHECK_VALUES(received.y, expected.y, kEitherZero, where);
      CHECK_VALUES(received.grad_x, expected.grad_x, kEitherZero, where);
      CHECK_VALUES(received.grad_weight, expected.grad_weight, kEitherZero, where);
      CHECK_VALUES(received.grad_bias, expected.grad_bias, kEitherZero, where);
      CHECK_VALUES(received.running_mean, expected.running_mean, kEitherZero, where);
      CHECK_VALUES(received.running_var, expected.running_var, largest(expected.running_var) * kEpsilon, where);
      CHECK_EQUAL(received.batches, expected.batches, where);
    }
  });
}

// NaN in one channel does not reach the others, nor the padding lanes.
TEST(batch_norm_nan_channel) {
  test.repeat(500, [](Rng& rng) {
    Case c = exact_case(rng);
    const std::size_t channel = rng.between(0, c.x.dims.c - 1);
    reference::Tensor& where_nan = rng.chance(0.5) ? c.x : c.grad_y;
    where_nan.at(0, channel, c.x.dims.h - 1, 0) = std::numeric_limits<double>::quiet_NaN();
    const Results expected = run_reference(c);
    for (const KernelTable* kernels : float_kernels()) {
      const Results received = run_native(c, *kernels, rng);
      CHECK_VALUES(received.y, expected.y, kEitherZero, kernels->isa, ", ", c.x.dims);
      CHECK_VALUES(received.grad_x, expected.grad_x, kEitherZero, kernels->isa, ", ", c.x.dims);
      CHECK_VALUES(received.grad_weight, expected.grad_weight, kEitherZero, kernels->isa, ", ", c.x.dims);
      CHECK_VALUES(received.grad_bias, expected.grad_bias, kEitherZero, kernels->isa, ", ", c.x.dims);
      CHECK_VALUES(received.running_mean, expected.running_mean, kEitherZero, kernels->isa, ", ", c.x.dims);
    }
  });
}

TEST(batch_norm_reals) {
  test.repeat(2000, [](Rng& rng) {
    const Case c = real_case(rng);
    const Results expected = run_reference(c);
    // |x - mean| <= 2, and the mean is a float sum over the pixels.
    const reference::Values& var = c.training ? reference::batch_statistics(c.x).var : c.norm.running_var;
    const double inv_std = 1 / std::sqrt(*std::min_element(var.begin(), var.end()) + c.norm.eps);
    const std::size_t terms = c.x.dims.n * c.x.dims.h * c.x.dims.w + 16;
    const double tolerance = sum_tolerance(Data::kReals, 2 * inv_std, terms);
    for (const KernelTable* kernels : float_kernels()) {
      const Results received = run_native(c, *kernels, rng);
      const std::string where = text_of(kernels->isa, c.training ? ", training " : ", evaluation ", c.x.dims);
      CHECK_VALUES(received.y, expected.y, tolerance, where);
      CHECK_VALUES(received.grad_x, expected.grad_x, 2 * inv_std * tolerance, where);
      CHECK_VALUES(received.grad_weight, expected.grad_weight, tolerance, where);
      CHECK_VALUES(received.grad_bias, expected.grad_bias, sum_tolerance(Data::kReals, 1, terms), where);
      CHECK_VALUES(received.running_mean, expected.running_mean, 2 * kEpsilon, where);
      CHECK_VALUES(received.running_var, expected.running_var, largest(expected.running_var) * 4 * kEpsilon, where);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
