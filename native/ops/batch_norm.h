// Batch normalisation with PyTorch's semantics (torch.nn.BatchNorm2d): the biased variance normalises, the unbiased one
// goes into running_var, running = (1 - momentum) * running + momentum * batch. Sums over pixels are taken per chunk of
// rows and combined in double in chunk order: the same bits for any thread count.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"
#include "ops/feature_map.h"

namespace qarepvgg {

// Per-channel arrays, [channels].
struct BatchNormWeights {
  const float* weight;  // gamma
  const float* bias;    // beta
  double eps;
};

struct RunningStatistics {
  float* mean;
  float* var;
  float* batches;  // one number
  double momentum;
};

class BatchNorm {
 public:
  BatchNorm(const MapShape& shape, const KernelTable& kernels);

  // Kept from forward to backward: mean and 1 / sqrt(var + eps).
  std::size_t saved_floats() const { return 2 * pixel_; }
  std::size_t forward_workspace_floats() const { return 2 * pixel_ * chunks_.count() + 2 * pixel_; }
  std::size_t backward_workspace_floats() const { return 2 * pixel_ * chunks_.count() + 3 * pixel_; }

  // Measures the batch into `saved` and updates the running statistics.
  void measure(const FeatureMap& x, double eps, RunningStatistics running, float* saved, float* workspace,
               int threads) const;
  // Takes `saved` from the running statistics.
  void recall(const float* running_mean, const float* running_var, double eps, float* saved) const;
  // y = (x - mean) / sqrt(var + eps) * gamma + beta, then ReLU if asked. y may be x.
  void normalize(const FeatureMap& x, BatchNormWeights weights, const float* saved, bool relu, const FeatureMap& y,
                 float* workspace, int threads) const;

  struct Backward {
    const FeatureMap& grad;    // of y
    const FeatureMap* relu_y;  // y, when a ReLU was fused; else null
    const FeatureMap& x;
    const FeatureMap& grad_x;
    bool accumulate;        // adds to grad_x
    bool batch_statistics;  // the mean and variance depend on x
    float* grad_weight;     // added to
    float* grad_bias;       // added to
  };
  void backward(const Backward& call, BatchNormWeights weights, const float* saved, float* workspace,
                int threads) const;

 private:
  KernelTable const* kernels_;
  MapShape shape_;
  RowChunks chunks_;
  std::size_t pixel_;
};

}  // namespace qarepvgg
