#include "reference/batch_norm.h"

#include <cmath>

namespace qarepvgg::reference {
namespace {

double values_per_channel(const Dims& dims) { return static_cast<double>(dims.n * dims.h * dims.w); }

}  // namespace

Statistics batch_statistics(const Tensor& x) {
  const double count = values_per_channel(x.dims);
  Statistics batch{Values(x.dims.c), Values(x.dims.c)};
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    batch.mean[c] += x.at(n, c, row, column);
  });
  for (double& mean : batch.mean) mean /= count;
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    const double distance = x.at(n, c, row, column) - batch.mean[c];
    batch.var[c] += distance * distance;
  });
  for (double& var : batch.var) var /= count;
  return batch;
}

void update_running_statistics(BatchNorm& norm, const Statistics& batch, const Dims& dims) {
  const double count = values_per_channel(dims), momentum = norm.momentum;
  for (std::size_t c = 0; c < dims.c; ++c) {
    const double unbiased = batch.var[c] * count / (count - 1.0);
    norm.running_mean[c] = (1.0 - momentum) * norm.running_mean[c] + momentum * batch.mean[c];
    norm.running_var[c] = (1.0 - momentum) * norm.running_var[c] + momentum * unbiased;
  }
  norm.batches += 1.0;
}

Tensor normalize(const Tensor& x, const BatchNorm& norm, const Statistics& statistics) {
  Tensor y(x.dims);
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    const double normalized = (x.at(n, c, row, column) - statistics.mean[c]) / std::sqrt(statistics.var[c] + norm.eps);
    y.at(n, c, row, column) = normalized * norm.weight[c] + norm.bias[c];
  });
  return y;
}

BatchNormGradients batch_norm_gradients(const Tensor& x, const Tensor& grad_y, const BatchNorm& norm,
                                        const Statistics& statistics, bool training) {
  const double count = values_per_channel(x.dims);
  BatchNormGradients grad{Tensor(x.dims), Values(x.dims.c), Values(x.dims.c)};
  const auto normalized = [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    return (x.at(n, c, row, column) - statistics.mean[c]) / std::sqrt(statistics.var[c] + norm.eps);
  };
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    grad.bias[c] += grad_y.at(n, c, row, column);
    grad.weight[c] += grad_y.at(n, c, row, column) * normalized(n, c, row, column);
  });
  for_each_element(x.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    double inner = grad_y.at(n, c, row, column);
    if (training) inner -= (grad.bias[c] + normalized(n, c, row, column) * grad.weight[c]) / count;
    grad.x.at(n, c, row, column) = norm.weight[c] / std::sqrt(statistics.var[c] + norm.eps) * inner;
  });
  return grad;
}

}  // namespace qarepvgg::reference
