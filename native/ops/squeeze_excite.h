// Squeeze-and-excitation (Hu et al., arXiv 1709.01507): y = x * sigmoid(up(relu(down(mean of x)))), perhaps clamped.
#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/feature_map.h"

namespace qarepvgg {

struct SqueezeExciteWeights {
  std::size_t reduced;
  const float *down, *down_bias;  // [reduced][channels], [reduced]
  const float *up, *up_bias;      // [channels][reduced], [channels]
};

struct SqueezeExciteGradients {
  float *down, *down_bias, *up, *up_bias;  // added to
};

class SqueezeExcite {
 public:
  SqueezeExcite(const MapShape& shape, std::size_t reduced, const KernelTable& kernels);

  // Kept for backward, for each image: mean, hidden, gate.
  std::size_t saved_floats() const { return checked_mul(shape_.n, saved_per_image()); }
  std::size_t saved_per_image() const { return 2 * pixel_ + round_up(reduced_, kAlignedFloats); }

  // Computes the gate of one image into its part of `saved`.
  void measure(const FeatureMap& x, std::size_t image, SqueezeExciteWeights weights, float* saved) const;
  // y = x * gate, clamped unless `clamp` is null, for rows [first, last) of one image.
  void apply(const FeatureMap& x, std::size_t image, const float* saved, const Clamp* clamp, const FeatureMap& y,
             std::size_t first_row, std::size_t last_row) const;
  // grad: the gradient of y, already masked by the ReLU. grad_x (+)= the gradient. Iterates images in order, because
  // the gradients of the weights are sums over them.
  void backward(const FeatureMap& grad, const FeatureMap& x, SqueezeExciteWeights weights, const float* saved,
                bool accumulate, const FeatureMap& grad_x, SqueezeExciteGradients gradients, int threads) const;

 private:
  MapShape shape_;
  std::size_t reduced_, pixel_;
  const KernelTable* kernels_;
};

}  // namespace qarepvgg
