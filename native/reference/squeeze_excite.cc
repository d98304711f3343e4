#include "reference/squeeze_excite.h"

#include <cmath>

#include "reference/convolution.h"
#include "reference/elementwise.h"

namespace qarepvgg::reference {
namespace {

// A linear layer is a 1x1 convolution of images of one pixel.
Convolution linear(std::size_t outputs) { return {outputs, 1, 1, 0, 1, 1}; }

Tensor gate(const Tensor& hidden, const SqueezeExcite& weights) {
  Tensor gate = convolve(hidden, weights.up, weights.up_bias, linear(weights.up_bias.size()));
  for (double& value : gate.data) value = 1 / (1 + std::exp(-value));
  return gate;
}

Tensor times_gate(const Tensor& x, const Tensor& gate) {
  Tensor y(x.dims);
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    y.at(n, c, row, column) = x.at(n, c, row, column) * gate.at(n, c, 0, 0);
  });
  return y;
}

}  // namespace

Tensor squeeze(const Tensor& x, const SqueezeExcite& weights) {
  return convolve(global_average(x), weights.down, weights.down_bias, linear(weights.down_bias.size()));
}

Tensor excite(const Tensor& x, const Tensor& hidden, const SqueezeExcite& weights) {
  return times_gate(x, gate(hidden, weights));
}

SqueezeExciteGradients squeeze_excite_gradients(const Tensor& x, const Tensor& grad_y, const SqueezeExcite& weights) {
  const Tensor mean = global_average(x), hidden = relu(squeeze(x, weights)), g = gate(hidden, weights);
  const Convolution up = linear(weights.up_bias.size()), down = linear(weights.down_bias.size());

  Tensor grad_logit(g.dims);
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    const double slope = g.at(n, c, 0, 0) * (1 - g.at(n, c, 0, 0));
    grad_logit.at(n, c, 0, 0) += grad_y.at(n, c, row, column) * x.at(n, c, row, column) * slope;
  });
  const Tensor grad_hidden = relu_gradient(convolution_data_gradient(grad_logit, weights.up, up, hidden.dims), hidden);
  const Tensor through_mean =
      global_average_gradient(convolution_data_gradient(grad_hidden, weights.down, down, mean.dims), x.dims);
  const Tensor direct = times_gate(grad_y, g);
  return {add({&direct, &through_mean}),
          {convolution_weight_gradient(mean, grad_hidden, down), convolution_bias_gradient(grad_hidden),
           convolution_weight_gradient(hidden, grad_logit, up), convolution_bias_gradient(grad_logit)}};
}

}  // namespace qarepvgg::reference
