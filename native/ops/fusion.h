// Re-parameterisation: folds parallel branches and their batch norms into one 3x3 convolution. Computes in double and
// rounds to float once, at the end.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace qarepvgg {

// Per-channel arrays, [out_channels].
struct FoldedBatchNorm {
  const float* weight;  // gamma
  const float* bias;    // beta
  const float* mean;
  const float* var;
  double eps;
};

class Fusion {
 public:
  // Throws ERR_INVALID_ARG if groups do not divide the channels.
  Fusion(std::size_t in_channels, std::size_t out_channels, std::size_t groups);

  // Only fuse_into reads the arrays.

  // Adds a convolution branch: scale * (weight * x + bias), then batch norm. kernel is 1 (its weight goes to the centre
  // tap) or 3. weight: [out][in / groups][kernel][kernel]; bias and norm may be null.
  void add_convolution(const float* weight, std::size_t kernel, const float* bias, double scale,
                       const FoldedBatchNorm* norm);
  // Adds the input itself, as a convolution with 1 at (o, o mod in / groups, centre). Needs equal channel counts.
  void add_identity(const FoldedBatchNorm* norm);
  // Adds the 3x3 average of the input (AvgPool2d(3, 1, 1)): 1/9 at all taps of (o, o mod in / groups).
  void add_average(const FoldedBatchNorm* norm);
  // A batch norm over the sum of all branches.
  void set_post_batch_norm(const FoldedBatchNorm& norm) { post_ = norm; }

  // weight: [out][in / groups][3][3]; bias: [out]. Throws ERR_NON_FINITE, naming the output channel, if a value is not
  // finite; the content of the arrays is then undefined.
  void fuse_into(float* weight, float* bias) const;
  std::size_t weight_elements() const { return out_ * depth_ * kTaps; }

 private:
  static constexpr std::size_t kTaps = 9, kCentre = 4;

  struct Branch {
    const float* weight = nullptr;  // null: the same value for all taps, on the diagonal
    std::size_t first_tap, taps;
    double scale;
    const float* bias = nullptr;
    std::optional<FoldedBatchNorm> norm;
  };

  void add_diagonal(Branch branch, const FoldedBatchNorm* norm);

  std::size_t out_, depth_;  // depth: input channels per group
  bool square_;              // as many input as output channels
  std::vector<Branch> branches_;
  std::optional<FoldedBatchNorm> post_;
};

}  // namespace qarepvgg
