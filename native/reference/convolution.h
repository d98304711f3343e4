// 2-D convolution and its gradients by definition (torch.nn.functional.conv2d, zero padding).
#pragma once

#include <cstddef>

#include "reference/tensor.h"

namespace qarepvgg::reference {

struct Convolution {
  std::size_t out_channels;
  std::size_t kernel;  // square
  std::size_t stride, padding, dilation, groups;

  Dims output(const Dims& input) const;
};

// weight: [out][in / groups][kernel][kernel]. bias: [out], or empty. Zeros of the padding are multiplied like any other
// value, so a weight that is not finite makes NaN at the border.
Tensor convolve(const Tensor& x, const Values& weight, const Values& bias, const Convolution& conv);
Tensor convolution_data_gradient(const Tensor& grad_y, const Values& weight, const Convolution& conv,
                                 const Dims& input);
Values convolution_weight_gradient(const Tensor& x, const Tensor& grad_y, const Convolution& conv);
Values convolution_bias_gradient(const Tensor& grad_y);

}  // namespace qarepvgg::reference
