#include "ops/fusion.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"

namespace qarepvgg {
namespace {

// A batch norm in evaluation mode is y = scale * x + shift.
struct Affine {
  double scale = 1, shift = 0;
};

Affine affine_of(const std::optional<FoldedBatchNorm>& norm, std::size_t channel) {
  if (!norm) return {};
  const double scale =
      static_cast<double>(norm->weight[channel]) / std::sqrt(static_cast<double>(norm->var[channel]) + norm->eps);
  return {scale, static_cast<double>(norm->bias[channel]) - scale * static_cast<double>(norm->mean[channel])};
}

std::optional<FoldedBatchNorm> copy_of(const FoldedBatchNorm* norm) {
  return norm == nullptr ? std::nullopt : std::optional(*norm);
}

void round_to(const double* values, std::size_t count, double scale, float* out, const char* what,
              std::size_t channel) {
  bool finite = true;
  for (std::size_t k = 0; k < count; ++k) {
    out[k] = static_cast<float>(values[k] * scale);
    finite &= std::isfinite(out[k]);
  }
  if (finite) return;
  const float* broken = std::find_if(out, out + count, [](float value) { return !std::isfinite(value); });
  fail(code::kNonFinite, "expected a finite fused ", what, ", received ", values[broken - out] * scale,
       " in output channel ", channel, ": check the weights and batch-norm statistics of that channel");
}

}  // namespace

Fusion::Fusion(std::size_t in_channels, std::size_t out_channels, std::size_t groups)
    : out_(out_channels), depth_(groups == 0 ? 0 : in_channels / groups), square_(in_channels == out_channels) {
  if (groups == 0 || in_channels == 0 || out_channels == 0 || in_channels % groups != 0 || out_channels % groups != 0)
    fail(code::kInvalidArg, "expected groups to divide ", in_channels, " input and ", out_channels,
         " output channels, received ", groups);
  checked_product({out_, depth_, kTaps, sizeof(double)});
}

void Fusion::add_convolution(const float* weight, std::size_t kernel, const float* bias, double scale,
                             const FoldedBatchNorm* norm) {
  branches_.push_back({weight, kernel == 1 ? kCentre : 0, kernel * kernel, scale, bias, copy_of(norm)});
}

void Fusion::add_diagonal(Branch branch, const FoldedBatchNorm* norm) {
  if (!square_) fail(code::kInvalidArg, "expected as many input as output channels for an identity or average branch");
  branch.norm = copy_of(norm);
  branches_.push_back(branch);
}

void Fusion::add_identity(const FoldedBatchNorm* norm) { add_diagonal({nullptr, kCentre, 1, 1.0, nullptr, {}}, norm); }

void Fusion::add_average(const FoldedBatchNorm* norm) { add_diagonal({nullptr, 0, kTaps, 1.0 / 9, nullptr, {}}, norm); }

void Fusion::fuse_into(float* weight, float* bias) const {
  // One output channel at a time, so that its numbers in double stay in the cache.
  std::vector<double> row(depth_ * kTaps);
  for (std::size_t o = 0; o < out_; ++o) {
    std::fill(row.begin(), row.end(), 0.0);
    double offset = 0;
    for (const Branch& branch : branches_) {
      const Affine affine = affine_of(branch.norm, o);
      const double factor = affine.scale * branch.scale;
      offset += affine.shift + (branch.bias != nullptr ? factor * static_cast<double>(branch.bias[o]) : 0.0);
      if (branch.weight == nullptr) {
        double* const diagonal = row.data() + o % depth_ * kTaps + branch.first_tap;
        for (std::size_t t = 0; t < branch.taps; ++t) diagonal[t] += factor;
        continue;
      }
      const float* const from = branch.weight + o * depth_ * branch.taps;
      if (branch.taps == kTaps)
        for (std::size_t k = 0; k < row.size(); ++k) row[k] += factor * static_cast<double>(from[k]);
      else
        for (std::size_t i = 0; i < depth_; ++i) row[i * kTaps + kCentre] += factor * static_cast<double>(from[i]);
    }
    const Affine post = affine_of(post_, o);
    offset = post.scale * offset + post.shift;
    round_to(row.data(), row.size(), post.scale, weight + o * row.size(), "weight", o);
    round_to(&offset, 1, 1.0, bias + o, "bias", o);
  }
}

}  // namespace qarepvgg
