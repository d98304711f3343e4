// The first convolution of a network: few input channels, read straight from an NCHW image. A few padded rows at a time
// are copied into the first-level cache, and every (channel, tap) becomes a tap of depth one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "ops/convolution.h"

namespace qarepvgg {

// One image: floats as [channels][height][width], or bytes as [height][width][channels] whose value in channel c counts
// as byte * scale[c] + shift[c].
struct Image {
  const float* floats = nullptr;
  const std::uint8_t* bytes = nullptr;
  const float *scale = nullptr, *shift = nullptr;
};

class StemConvolution {
 public:
  static constexpr std::size_t kMaxChannels = 4;

  // shape.n is ignored: one image per run. groups must be 1.
  StemConvolution(const ConvShape& shape, const KernelTable& kernels);
  StemConvolution(const ConvShape& shape, const Panels& panels, const KernelTable& kernels);
  const Panels& panels() const { return panels_; }

  std::size_t weight_floats() const { return shape_.in_c * shape_.kernel * shape_.kernel * panels_.padded(); }
  std::size_t bias_floats() const { return panels_.padded(); }
  void pack_weights(const float* weight, float* packed) const;
  void pack_bias(const float* bias, float* packed) const;

  // Scratch of one member of the team.
  std::size_t scratch_floats() const { return shape_.in_c * shape_.kernel * line_; }
  // One member's part of one image, inside a parallel region.
  void run_part(const Image& image, const float* weights, const float* bias, const FeatureMap& out, bool relu,
                float* scratch, const Member& member) const;

 private:
  void copy_rows(const Image& image, std::size_t out_row, float* lines) const;
  void copy_line(const Image& image, std::size_t channel, std::size_t row, float* line) const;

  ConvShape shape_;
  Panels panels_;
  const KernelTable* kernels_;
  std::size_t line_;  // floats of a padded row
  std::vector<std::ptrdiff_t> taps_;
};

}  // namespace qarepvgg
