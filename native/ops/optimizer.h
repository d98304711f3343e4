// Optimiser steps on flat arrays (torch.optim.SGD and AdamW), the norm of a gradient, and the paper's customL2.
#pragma once

#include <cstddef>

namespace qarepvgg {

struct StateRange {
  std::size_t offset, length;
};

struct SgdStep {
  double learning_rate, momentum;
  bool nesterov;
};

// velocity = momentum * velocity + gradient; weight -= learning_rate * (nesterov ? gradient + momentum * velocity :
// velocity). Gradients already include weight decay.
void sgd_step(const SgdStep& step, StateRange range, const float* gradient, float* velocity, float* weight,
              int threads);

struct AdamStep {
  double learning_rate, beta1, beta2, epsilon;
  double count;  // steps including this one
};

void adam_step(const AdamStep& step, StateRange range, const float* gradient, float* first, float* second,
               float* weight, int threads);

// target += source * factor over a range.
void add_scaled(StateRange range, const float* source, double factor, float* target, int threads);
// target *= factor over a range.
void scale_range(StateRange range, double factor, float* target, int threads);
// Sum of squares over a range, the same bits for any number of threads.
double sum_of_squares(StateRange range, const float* values, int threads);

// The 3x3 and 1x1 branches of one RepVGG block with their batch norms, as offsets into the state.
struct CustomL2Block {
  std::size_t out_channels, depth;  // depth: input channels per group
  double eps;
  std::size_t weight3x3, gamma3x3, var3x3, weight1x1, gamma1x1, var1x1;
};

// Adds the gradient of decay / 2 * customL2 (arXiv 2212.01593, Alg. 1; batch norms taken as constants).
void add_custom_l2_gradient(const CustomL2Block& block, const float* state, double decay, float* gradient);

}  // namespace qarepvgg
