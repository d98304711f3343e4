#include "ops/fusion.h"

#include <cmath>

#include "base/checked.h"

namespace qarepvgg {
namespace {

// A batch norm in evaluation mode is y = scale * x + shift.
struct Affine {
  double scale = 1, shift = 0;
};

Affine affine_of(const FoldedBatchNorm* norm, std::size_t channel) {
  if (norm == nullptr) return {};
  const double scale =
      static_cast<double>(norm->weight[channel]) / std::sqrt(static_cast<double>(norm->var[channel]) + norm->eps);
  return {scale, static_cast<double>(norm->bias[channel]) - scale * static_cast<double>(norm->mean[channel])};
}

}  // namespace

Fusion::Fusion(std::size_t in_channels, std::size_t out_channels, std::size_t groups)
    : out_(out_channels), depth_(groups == 0 ? 0 : in_channels / groups), square_(in_channels == out_channels) {
  if (groups == 0 || in_channels == 0 || out_channels == 0 || in_channels % groups != 0 || out_channels % groups != 0)
    fail(code::kInvalidArg, "expected groups to divide ", in_channels, " input and ", out_channels,
         " output channels, received ", groups);
  weight_.assign(checked_product({out_, depth_, kTaps}), 0.0);
  bias_.assign(out_, 0.0);
}

void Fusion::add_convolution(const float* weight, std::size_t kernel, const float* bias, double scale,
                             const FoldedBatchNorm* norm) {
  const std::size_t taps = kernel * kernel, first = kernel == 1 ? kCentre : 0;
  for (std::size_t o = 0; o < out_; ++o) {
    const Affine affine = affine_of(norm, o);
    const double factor = affine.scale * scale;
    for (std::size_t i = 0; i < depth_; ++i)
      for (std::size_t t = 0; t < taps; ++t)
        weight_[(o * depth_ + i) * kTaps + first + t] +=
            factor * static_cast<double>(weight[(o * depth_ + i) * taps + t]);
    bias_[o] += affine.shift + (bias != nullptr ? factor * static_cast<double>(bias[o]) : 0.0);
  }
}

void Fusion::add_per_channel(std::size_t first_tap, std::size_t last_tap, double value, const FoldedBatchNorm* norm) {
  if (!square_) fail(code::kInvalidArg, "expected as many input as output channels for an identity or average branch");
  for (std::size_t o = 0; o < out_; ++o) {
    const Affine affine = affine_of(norm, o);
    for (std::size_t t = first_tap; t <= last_tap; ++t)
      weight_[(o * depth_ + o % depth_) * kTaps + t] += affine.scale * value;
    bias_[o] += affine.shift;
  }
}

void Fusion::add_identity(const FoldedBatchNorm* norm) { add_per_channel(kCentre, kCentre, 1.0, norm); }

void Fusion::add_average(const FoldedBatchNorm* norm) { add_per_channel(0, kTaps - 1, 1.0 / 9.0, norm); }

void Fusion::apply_batch_norm(const FoldedBatchNorm& norm) {
  for (std::size_t o = 0; o < out_; ++o) {
    const Affine affine = affine_of(&norm, o);
    for (std::size_t k = 0; k < depth_ * kTaps; ++k) weight_[o * depth_ * kTaps + k] *= affine.scale;
    bias_[o] = affine.scale * bias_[o] + affine.shift;
  }
}

void Fusion::round_to(float* weight, float* bias) const {
  const auto rounded = [](double value, const char* what, std::size_t channel) {
    const float result = static_cast<float>(value);
    if (!std::isfinite(result))
      fail(code::kNonFinite, "expected a finite fused ", what, ", received ", value, " in output channel ", channel,
           ": check the weights and batch-norm statistics of that channel");
    return result;
  };
  for (std::size_t k = 0; k < weight_.size(); ++k) weight[k] = rounded(weight_[k], "weight", k / (depth_ * kTaps));
  for (std::size_t o = 0; o < out_; ++o) bias[o] = rounded(bias_[o], "bias", o);
}

}  // namespace qarepvgg
