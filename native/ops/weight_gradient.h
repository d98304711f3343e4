// Gradient of a convolution with respect to its weights.
#pragma once

#include <cstddef>

#include "ops/conv_shape.h"
#include "ops/panels.h"

namespace qarepvgg {

// For each tap, an outer product summed over pixels. One thread sums each
// element, in a fixed order.
class WeightGradient {
 public:
  WeightGradient(const ConvShape& shape, const KernelTable& kernels);

  std::size_t workspace_floats() const;
  // Adds to grad_weight, [out][in / groups][kernel][kernel].
  void run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight, int threads) const;

 private:
  ConvShape shape_;
  const KernelTable* kernels_;
  Panels panels_;
  std::size_t rows_per_chunk_, images_per_chunk_;
};

}  // namespace qarepvgg
