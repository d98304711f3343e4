#include "reference/elementwise.h"

namespace qarepvgg::reference {

Tensor add(const std::vector<const Tensor*>& operands) {
  Tensor sum = *operands.front();
  for (std::size_t n = 1; n < operands.size(); ++n)
    for (std::size_t i = 0; i < sum.data.size(); ++i) sum.data[i] += operands[n]->data[i];
  return sum;
}

Tensor scale(const Tensor& x, double factor) {
  Tensor y(x.dims);
  for (std::size_t i = 0; i < x.data.size(); ++i) y.data[i] = x.data[i] * factor;
  return y;
}

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i) sum += a.data[i] * b.data[i];
  return sum;
}

Tensor relu(const Tensor& x) {
  Tensor y(x.dims);
  for (std::size_t i = 0; i < x.data.size(); ++i) y.data[i] = x.data[i] < 0 ? 0.0 : x.data[i];
  return y;
}

Tensor relu_gradient(const Tensor& grad_y, const Tensor& y) {
  Tensor grad_x(y.dims);
  for (std::size_t i = 0; i < y.data.size(); ++i) grad_x.data[i] = y.data[i] <= 0 ? 0.0 : grad_y.data[i];
  return grad_x;
}

Tensor average3x3(const Tensor& x) {
  Tensor y(x.dims);
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    double sum = 0;
    for (std::ptrdiff_t dy = -1; dy <= 1; ++dy)
      for (std::ptrdiff_t dx = -1; dx <= 1; ++dx)
        sum += x.padded(n, c, static_cast<std::ptrdiff_t>(row) + dy, static_cast<std::ptrdiff_t>(column) + dx);
    y.at(n, c, row, column) = sum / 9.0;
  });
  return y;
}

Tensor global_average(const Tensor& x) {
  Tensor y(Dims{x.dims.n, x.dims.c, 1, 1});
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    y.at(n, c, 0, 0) += x.at(n, c, row, column);
  });
  for (double& sum : y.data) sum /= static_cast<double>(x.dims.h * x.dims.w);
  return y;
}

Tensor global_average_gradient(const Tensor& grad_y, const Dims& input) {
  Tensor grad_x(input);
  for_each_element(input, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    grad_x.at(n, c, row, column) = grad_y.at(n, c, 0, 0) / static_cast<double>(input.h * input.w);
  });
  return grad_x;
}

}  // namespace qarepvgg::reference
