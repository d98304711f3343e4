#include "ops/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kChunk = 1 << 14;

// Calls visit(first, last) for chunks of a range, in parallel if there are several.
template <class Visit>
void for_each_chunk(StateRange range, int threads, const Visit& visit) {
  parallel_for(threads, ceil_div(range.length, kChunk), [&](std::size_t chunk) {
    const std::size_t first = range.offset + chunk * kChunk;
    visit(first, std::min(first + kChunk, range.offset + range.length));
  });
}

}  // namespace

void sgd_step(const SgdStep& step, StateRange range, const float* gradient, float* velocity, float* weight,
              int threads) {
  const float rate = static_cast<float>(step.learning_rate), momentum = static_cast<float>(step.momentum);
  for_each_chunk(range, threads, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      velocity[i] = momentum * velocity[i] + gradient[i];
      weight[i] -= rate * (step.nesterov ? gradient[i] + momentum * velocity[i] : velocity[i]);
    }
  });
}

void adam_step(const AdamStep& step, StateRange range, const float* gradient, float* first_moment, float* second_moment,
               float* weight, int threads) {
  const float beta1 = static_cast<float>(step.beta1), beta2 = static_cast<float>(step.beta2);
  const float size = static_cast<float>(step.learning_rate / (1 - std::pow(step.beta1, step.count)));
  const float root = static_cast<float>(std::sqrt(1 - std::pow(step.beta2, step.count)));
  const float epsilon = static_cast<float>(step.epsilon);
  for_each_chunk(range, threads, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      first_moment[i] += (1 - beta1) * (gradient[i] - first_moment[i]);
      second_moment[i] = beta2 * second_moment[i] + (1 - beta2) * gradient[i] * gradient[i];
      weight[i] -= size * first_moment[i] / (std::sqrt(second_moment[i]) / root + epsilon);
    }
  });
}

void add_scaled(StateRange range, const float* source, double factor, float* target, int threads) {
  const float f = static_cast<float>(factor);
  for_each_chunk(range, threads, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) target[i] += source[i] * f;
  });
}

void scale_range(StateRange range, double factor, float* target, int threads) {
  const float f = static_cast<float>(factor);
  for_each_chunk(range, threads, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) target[i] *= f;
  });
}

double sum_of_squares(StateRange range, const float* values, int threads) {
  std::vector<double> partial(ceil_div(range.length, kChunk));
  for_each_chunk(range, threads, [&](std::size_t first, std::size_t last) {
    double sum = 0;
    for (std::size_t i = first; i < last; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    partial[(first - range.offset) / kChunk] = sum;
  });
  double total = 0;
  for (double part : partial) total += part;
  return total;
}

void add_custom_l2_gradient(const CustomL2Block& block, const float* state, double decay, float* gradient) {
  constexpr std::size_t kTaps = 9, kCentre = 4;
  const auto scale = [&](std::size_t gamma, std::size_t var, std::size_t channel) {
    return static_cast<double>(state[gamma + channel]) /
           std::sqrt(static_cast<double>(state[var + channel]) + block.eps);
  };
  for (std::size_t o = 0; o < block.out_channels; ++o) {
    const double t3 = scale(block.gamma3x3, block.var3x3, o), t1 = scale(block.gamma1x1, block.var1x1, o);
    const double norm = t3 * t3 + t1 * t1;
    for (std::size_t i = o * block.depth; i < (o + 1) * block.depth; ++i) {
      const float* k3 = state + block.weight3x3 + i * kTaps;
      float* g3 = gradient + block.weight3x3 + i * kTaps;
      for (std::size_t t = 0; t < kTaps; ++t)
        if (t != kCentre) g3[t] += static_cast<float>(decay * static_cast<double>(k3[t]));
      if (norm == 0) continue;
      const double equivalent =
          static_cast<double>(k3[kCentre]) * t3 + static_cast<double>(state[block.weight1x1 + i]) * t1;
      g3[kCentre] += static_cast<float>(decay * equivalent * t3 / norm);
      gradient[block.weight1x1 + i] += static_cast<float>(decay * equivalent * t1 / norm);
    }
  }
}

}  // namespace qarepvgg
