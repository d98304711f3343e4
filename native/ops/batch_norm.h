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
};

struct RunningStatistics {
  float* mean;
  float* var;
  float* batches;  // one number
  double momentum;
};

// A forward pass is measure() and settle(), or recall(), then normalize(). `saved` is kept for the backward pass: for
// each channel the mean, 1 / sqrt(var + eps), and the scale and shift of normalize(); then the sums of all chunks.
class BatchNorm {
 public:
  BatchNorm(const MapShape& shape, const KernelTable& kernels);

  std::size_t saved_floats() const { return pixel_ * (4 + 2 * chunks_.count()); }
  std::size_t backward_workspace_floats() const { return 2 * pixel_; }

  // Measures the batch, chunk by chunk.
  void measure_chunk(const FeatureMap& x, std::size_t chunk, float* saved) const;
  void measure(const FeatureMap& x, float* saved, int threads) const;
  // Computes mean and variance from the measured sums, and updates the running statistics.
  void settle(double eps, RunningStatistics running, float* saved, int threads) const;
  // Takes mean and variance from the running statistics.
  void recall(const float* running_mean, const float* running_var, double eps, float* saved) const;

  struct Forward {
    const FeatureMap& x;
    const FeatureMap* addend;  // or null
    const FeatureMap& y;       // may be x or the addend
    const Clamp* clamp;        // or null
  };
  // y = (x - mean) / sqrt(var + eps) * gamma + beta, plus the addend, clamped. Calls then(chunk) after each chunk.
  void normalize(const Forward& call, BatchNormWeights weights, float* saved, const ChunkTask& then, int threads) const;

  struct Backward {
    const FeatureMap& grad;  // of y
    const FeatureMap& x;
    const FeatureMap& grad_x;
    bool relu;              // whether the forward pass had a ReLU; only without an addend
    bool accumulate;        // adds to grad_x
    bool batch_statistics;  // the mean and variance depend on x
    float* grad_weight;     // added to
    float* grad_bias;       // added to
  };
  // Sums the gradients of scale and shift, chunk by chunk.
  void sum_chunk(const FeatureMap& grad, const FeatureMap& x, bool relu, std::size_t chunk, float* saved) const;
  void sum(const FeatureMap& grad, const FeatureMap& x, bool relu, float* saved, int threads) const;
  // Computes all gradients, after these sums. Calls then(chunk) after each chunk of grad_x.
  void backward(const Backward& call, const float* saved, float* workspace, const ChunkTask& then, int threads) const;

 private:
  // Parts of `saved`.
  template <class Float>
  struct Parts {
    Float *mean, *inv_std, *scale, *shift, *first, *second;
  };
  template <class Float>
  Parts<Float> parts(Float* saved) const {
    return {saved,
            saved + pixel_,
            saved + 2 * pixel_,
            saved + 3 * pixel_,
            saved + 4 * pixel_,
            saved + (4 + chunks_.count()) * pixel_};
  }

  KernelTable const* kernels_;
  MapShape shape_;
  RowChunks chunks_;
  std::size_t pixel_;
};

}  // namespace qarepvgg
