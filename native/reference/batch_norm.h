// Batch normalisation by definition (torch.nn.BatchNorm2d).
#pragma once

#include "reference/tensor.h"

namespace qarepvgg::reference {

// Arrays have one value for each channel.
struct BatchNorm {
  Values weight, bias;  // gamma, beta
  Values running_mean, running_var;
  double batches = 0;  // num_batches_tracked
  double eps = 1e-5, momentum = 0.1;
};

// The statistics to normalise by: those of the batch in training (biased variance), else the running ones.
struct Statistics {
  Values mean, var;
};

Statistics batch_statistics(const Tensor& x);
// running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
void update_running_statistics(BatchNorm& norm, const Statistics& batch, const Dims& dims);
// y = (x - mean) / sqrt(var + eps) * weight + bias.
Tensor normalize(const Tensor& x, const BatchNorm& norm, const Statistics& statistics);

struct BatchNormGradients {
  Tensor x;
  Values weight, bias;
};
// training: the statistics are those of x, and gradients flow through them, too.
BatchNormGradients batch_norm_gradients(const Tensor& x, const Tensor& grad_y, const BatchNorm& norm,
                                        const Statistics& statistics, bool training);

}  // namespace qarepvgg::reference
