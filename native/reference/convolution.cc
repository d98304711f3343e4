#include "reference/convolution.h"

namespace qarepvgg::reference {
namespace {

// Calls visit(weight_index, input_channel, input_y, input_x) for every term of the output (out, y, x). The input
// position may be in the padding.
template <class Visit>
void for_each_term(const Convolution& conv, std::size_t in_channels, std::size_t out, std::size_t y, std::size_t x,
                   const Visit& visit) {
  const std::size_t depth = in_channels / conv.groups, group = out / (conv.out_channels / conv.groups);
  std::size_t weight_index = out * depth * conv.kernel * conv.kernel;
  for (std::size_t k = 0; k < depth; ++k)
    for (std::size_t ky = 0; ky < conv.kernel; ++ky)
      for (std::size_t kx = 0; kx < conv.kernel; ++kx) {
        const auto position = [&](std::size_t o, std::size_t tap) {
          return static_cast<std::ptrdiff_t>(o * conv.stride + tap * conv.dilation) -
                 static_cast<std::ptrdiff_t>(conv.padding);
        };
        visit(weight_index++, group * depth + k, position(y, ky), position(x, kx));
      }
}

}  // namespace

Dims Convolution::output(const Dims& input) const {
  const auto size = [&](std::size_t in) { return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; };
  return {input.n, out_channels, size(input.h), size(input.w)};
}

Tensor convolve(const Tensor& x, const Values& weight, const Values& bias, const Convolution& conv) {
  Tensor y(conv.output(x.dims));
  for_each_element(y.dims, [&](std::size_t n, std::size_t out, std::size_t row, std::size_t column) {
    double sum = bias.empty() ? 0.0 : bias[out];
    for_each_term(conv, x.dims.c, out, row, column,
                  [&](std::size_t w, std::size_t in, std::ptrdiff_t in_y, std::ptrdiff_t in_x) {
                    sum += weight[w] * x.padded(n, in, in_y, in_x);
                  });
    y.at(n, out, row, column) = sum;
  });
  return y;
}

Tensor convolution_data_gradient(const Tensor& grad_y, const Values& weight, const Convolution& conv,
                                 const Dims& input) {
  Tensor grad_x(input);
  for_each_element(grad_y.dims, [&](std::size_t n, std::size_t out, std::size_t row, std::size_t column) {
    const double grad = grad_y.at(n, out, row, column);
    for_each_term(
        conv, input.c, out, row, column, [&](std::size_t w, std::size_t in, std::ptrdiff_t in_y, std::ptrdiff_t in_x) {
          if (grad_x.inside(in_y, in_x))
            grad_x.at(n, in, static_cast<std::size_t>(in_y), static_cast<std::size_t>(in_x)) += grad * weight[w];
        });
  });
  return grad_x;
}

Values convolution_weight_gradient(const Tensor& x, const Tensor& grad_y, const Convolution& conv) {
  Values grad_weight(conv.out_channels * (x.dims.c / conv.groups) * conv.kernel * conv.kernel);
  for_each_element(grad_y.dims, [&](std::size_t n, std::size_t out, std::size_t row, std::size_t column) {
    const double grad = grad_y.at(n, out, row, column);
    for_each_term(conv, x.dims.c, out, row, column,
                  [&](std::size_t w, std::size_t in, std::ptrdiff_t in_y, std::ptrdiff_t in_x) {
                    grad_weight[w] += grad * x.padded(n, in, in_y, in_x);
                  });
  });
  return grad_weight;
}

Values convolution_bias_gradient(const Tensor& grad_y) {
  Values grad_bias(grad_y.dims.c);
  for_each_element(grad_y.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
    grad_bias[c] += grad_y.at(n, c, y, x);
  });
  return grad_bias;
}

}  // namespace qarepvgg::reference
