// Sum, scaling, ReLU and averages by definition, and their gradients where these differ from the op itself.
#pragma once

#include <vector>

#include "reference/tensor.h"

namespace qarepvgg::reference {

Tensor add(const std::vector<const Tensor*>& operands);
Tensor scale(const Tensor& x, double factor);
// Gradient of the factor: the sum of grad_y * x.
double dot(const Tensor& a, const Tensor& b);
// NaN stays NaN.
Tensor relu(const Tensor& x);
// Zero if y, the output, is not above zero; a NaN lets the gradient pass.
Tensor relu_gradient(const Tensor& grad_y, const Tensor& y);
// torch.nn.AvgPool2d(3, 1, 1): padding zeros count. Its gradient is the same op.
Tensor average3x3(const Tensor& x);
// Mean over the pixels of every channel: [n, c, 1, 1].
Tensor global_average(const Tensor& x);
Tensor global_average_gradient(const Tensor& grad_y, const Dims& input);

}  // namespace qarepvgg::reference
