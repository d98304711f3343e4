// Squeeze-and-excitation by definition (Hu et al., arXiv 1709.01507): y = x * sigmoid(up(relu(down(mean of x)))).
#pragma once

#include "reference/tensor.h"

namespace qarepvgg::reference {

struct SqueezeExcite {
  Values down, down_bias;  // [reduced][channels], [reduced]
  Values up, up_bias;      // [channels][reduced], [channels]
};

// Input of the inner ReLU: [n, reduced, 1, 1].
Tensor squeeze(const Tensor& x, const SqueezeExcite& weights);
// The gated image; hidden: output of the inner ReLU.
Tensor excite(const Tensor& x, const Tensor& hidden, const SqueezeExcite& weights);

struct SqueezeExciteGradients {
  Tensor x;
  SqueezeExcite weights;
};
SqueezeExciteGradients squeeze_excite_gradients(const Tensor& x, const Tensor& grad_y, const SqueezeExcite& weights);

}  // namespace qarepvgg::reference
