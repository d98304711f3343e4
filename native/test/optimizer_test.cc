// Optimiser steps against the same formulas in double, and customL2 against central differences of its definition.
#include "ops/optimizer.h"

#include <cmath>
#include <functional>

#include "test/guarded_memory.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

constexpr double kTolerance = 2e-6;

// A range inside an array, sometimes of several chunks.
struct Array {
  std::size_t length;
  StateRange range;
};

Array random_array(Rng& rng) {
  const std::size_t length = rng.chance(0.05) ? rng.between(16384, 60000) : rng.between(1, 300);
  const std::size_t offset = rng.between(0, length - 1);
  return {length, {offset, rng.between(0, length - offset)}};
}

// Runs body(i) for the indices of a range.
template <class Body>
void each(const StateRange& range, const Body& body) {
  for (std::size_t i = range.offset; i < range.offset + range.length; ++i) body(i);
}

int random_threads(Rng& rng) {
  constexpr int kThreads[]{1, 2, 3, 7};
  return rng.pick(kThreads);
}

TEST(sgd_steps) {
  test.repeat(300, [](Rng& rng) {
    const Array array = random_array(rng);
    const SgdStep step{rng.uniform(0, 0.5), rng.chance(0.3) ? 0.0 : rng.uniform(0, 0.99), rng.chance(0.5)};
    GuardedMemory memory(rng);
    reference::Values weight = random_values(rng, array.length, Data::kReals), velocity(array.length);
    float *weight_data = memory.floats(weight), *velocity_data = memory.floats(velocity);
    for (int i = 0; i < 5; ++i) {
      const reference::Values gradient = random_values(rng, array.length, Data::kReals);
      sgd_step(step, array.range, memory.floats(gradient), velocity_data, weight_data, random_threads(rng));
      each(array.range, [&](std::size_t at) {
        velocity[at] = step.momentum * velocity[at] + gradient[at];
        weight[at] -= step.learning_rate * (step.nesterov ? gradient[at] + step.momentum * velocity[at] : velocity[at]);
      });
    }
    CHECK_VALUES(read(velocity_data, array.length), velocity, 10 * kTolerance, "velocity, ", array.length);
    CHECK_VALUES(read(weight_data, array.length), weight, 10 * kTolerance, "weight, ", array.length);
  });
}

TEST(adam_steps) {
  test.repeat(300, [](Rng& rng) {
    const Array array = random_array(rng);
    AdamStep step{rng.uniform(0, 0.1), rng.uniform(0, 0.95), rng.uniform(0, 0.9995), 1e-8, 0};
    GuardedMemory memory(rng);
    const reference::Values zeros(array.length);
    reference::Values weight = random_values(rng, array.length, Data::kReals), first = zeros, second = zeros;
    float *weight_data = memory.floats(weight), *first_data = memory.floats(zeros), *second_data = memory.floats(zeros);
    for (int i = 1; i <= 5; ++i) {
      step.count = i;
      const reference::Values gradient = random_values(rng, array.length, Data::kReals);
      adam_step(step, array.range, memory.floats(gradient), first_data, second_data, weight_data, random_threads(rng));
      each(array.range, [&](std::size_t at) {
        first[at] = step.beta1 * first[at] + (1 - step.beta1) * gradient[at];
        second[at] = step.beta2 * second[at] + (1 - step.beta2) * gradient[at] * gradient[at];
        const double mean = first[at] / (1 - std::pow(step.beta1, i)),
                     square = second[at] / (1 - std::pow(step.beta2, i));
        weight[at] -= step.learning_rate * mean / (std::sqrt(square) + step.epsilon);
      });
    }
    CHECK_VALUES(read(first_data, array.length), first, kTolerance, "first moment, ", array.length);
    CHECK_VALUES(read(second_data, array.length), second, kTolerance, "second moment, ", array.length);
    CHECK_VALUES(read(weight_data, array.length), weight, 2e-5, "weight, ", array.length, ", beta2 ", step.beta2);
  });
}

TEST(optimizer_ranges) {
  test.repeat(300, [](Rng& rng) {
    const Array array = random_array(rng);
    const double factor = rng.uniform(-2, 2);
    GuardedMemory memory(rng);
    const reference::Values source = random_values(rng, array.length, Data::kReals);
    reference::Values added = random_values(rng, array.length, Data::kReals), scaled = source;
    float *added_data = memory.floats(added), *scaled_data = memory.floats(source);
    add_scaled(array.range, memory.floats(source), factor, added_data, random_threads(rng));
    scale_range(array.range, factor, scaled_data, random_threads(rng));
    double squares = 0;
    each(array.range, [&](std::size_t at) {
      added[at] += factor * source[at];
      scaled[at] *= factor;
      squares += source[at] * source[at];
    });
    CHECK_VALUES(read(added_data, array.length), added, kTolerance, array.length);
    CHECK_VALUES(read(scaled_data, array.length), scaled, kTolerance, array.length);
    const double sum = sum_of_squares(array.range, memory.floats(source), 1);
    CHECK(std::abs(sum - squares) <= 1e-12 * (1 + squares), "received ", sum, ", expected ", squares);
    for (int threads : {2, 3, 7})
      CHECK_EQUAL(sum_of_squares(array.range, memory.floats(source), threads), sum, threads, " threads");
  });
}

// Alg. 1 of the paper: the squares of all taps of the 3x3 kernel except the centre, and of the centre of the two fused
// branches divided by their squared scales. `scales` come from another state, so that they are constants.
double custom_l2(const CustomL2Block& block, const reference::Values& state, const reference::Values& scales) {
  double sum = 0;
  for (std::size_t o = 0; o < block.out_channels; ++o) {
    const double t3 = scales[block.gamma3x3 + o] / std::sqrt(scales[block.var3x3 + o] + block.eps);
    const double t1 = scales[block.gamma1x1 + o] / std::sqrt(scales[block.var1x1 + o] + block.eps);
    for (std::size_t i = o * block.depth; i < (o + 1) * block.depth; ++i) {
      for (std::size_t tap = 0; tap < 9; ++tap)
        if (tap != 4) sum += std::pow(state[block.weight3x3 + 9 * i + tap], 2);
      const double centre = state[block.weight3x3 + 9 * i + 4] * t3 + state[block.weight1x1 + i] * t1;
      sum += centre * centre / (t3 * t3 + t1 * t1);
    }
  }
  return sum;
}

TEST(custom_l2_gradient) {
  test.repeat(300, [](Rng& rng) {
    CustomL2Block block{rng.between(1, 6), rng.between(1, 5), 1e-5, 0, 0, 0, 0, 0, 0};
    reference::Values state;
    const auto tensor = [&](std::size_t count, double low, double high) {
      const std::size_t offset = state.size() + rng.between(0, 3);
      state.resize(offset, std::nan(""));
      for (std::size_t i = 0; i < count; ++i)
        state.push_back(static_cast<double>(static_cast<float>(rng.uniform(low, high))));
      return offset;
    };
    const std::size_t pairs = block.out_channels * block.depth;
    block.weight3x3 = tensor(9 * pairs, -1, 1);
    block.gamma3x3 = tensor(block.out_channels, -2, 2);
    block.var3x3 = tensor(block.out_channels, 0, 2);
    block.weight1x1 = tensor(pairs, -1, 1);
    block.gamma1x1 = tensor(block.out_channels, -2, 2);
    block.var1x1 = tensor(block.out_channels, 0, 2);

    const double decay = rng.uniform(0, 0.1);
    const reference::Values before = random_values(rng, state.size(), Data::kReals);
    GuardedMemory memory(rng);
    float* gradient = memory.floats(before);
    add_custom_l2_gradient(block, memory.floats(state), decay, gradient);
    reference::Values expected = before;
    const auto differentiate = [&](std::size_t offset, std::size_t count) {
      constexpr double kStep = 1e-6;
      for (std::size_t i = offset; i < offset + count; ++i) {
        reference::Values above = state, below = state;
        above[i] += kStep;
        below[i] -= kStep;
        expected[i] += decay / 2 * (custom_l2(block, above, state) - custom_l2(block, below, state)) / (2 * kStep);
      }
    };
    differentiate(block.weight3x3, 9 * pairs);
    differentiate(block.weight1x1, pairs);
    CHECK_VALUES(read(gradient, state.size()), expected, 1e-6, block.out_channels, " channels of ", block.depth);
  });
}

// Two branches with zero scales add nothing, not 0 / 0.
TEST(custom_l2_of_zero_scales) {
  const CustomL2Block block{1, 1, 1e-5, 0, 9, 10, 11, 12, 13};
  std::vector<float> state(14, 1.0f), gradient(14, 0.0f);
  state[block.gamma3x3] = state[block.gamma1x1] = 0;
  add_custom_l2_gradient(block, state.data(), 0.5, gradient.data());
  for (std::size_t i = 0; i < gradient.size(); ++i)
    CHECK_EQUAL(gradient[i], i < 9 && i != 4 ? 0.5f : 0.0f, "gradient ", i);
}

}  // namespace
}  // namespace qarepvgg::test
