// A convolution whose weights change from run to run, as in training, and the gradient of its weights: each by the best
// algorithm for its shape.
#pragma once

#include <cstddef>
#include <optional>

#include "ops/convolution.h"
#include "ops/weight_gradient.h"
#include "ops/winograd.h"
#include "ops/winograd_gradient.h"

namespace qarepvgg {

// Packs the weights in every run.
class RepackedConvolution {
 public:
  // gradient: computes that of the input from that of the output, which needs a halo of
  // FloatConvolution::data_gradient_halo(shape). threads: size of the largest team.
  RepackedConvolution(const ConvShape& shape, bool gradient, int threads, const KernelTable& kernels);

  std::size_t scratch_floats() const;
  // weight: [out][in / groups][kernel][kernel], for gradients, too. bias: one per output channel, or null.
  void run(const float* weight, const float* bias, const FeatureMap& in, const FeatureMap& out, ConvOptions options,
           float* scratch, int team) const;

 private:
  const Panels& panels() const { return direct_ ? direct_->panels() : winograd_->panels(); }
  // In floats.
  std::size_t bias_offset() const;
  std::size_t bias_floats() const { return round_up(checked_mul(groups_, panels().padded()), kAlignedFloats); }
  std::size_t member_bytes() const { return round_up(winograd_->scratch_bytes(), kAlignment); }

  bool gradient_;
  std::size_t members_, groups_;
  std::optional<FloatConvolution> direct_;
  std::optional<FloatWinograd> winograd_;
};

class ConvolutionWeightGradient {
 public:
  ConvolutionWeightGradient(const ConvShape& shape, int threads, const KernelTable& kernels);

  std::size_t workspace_floats() const;
  // Adds to grad_weight, [out][in / groups][kernel][kernel].
  void run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight, int team) const;

 private:
  std::optional<WeightGradient> direct_;
  std::optional<WinogradWeightGradient> winograd_;
};

}  // namespace qarepvgg
