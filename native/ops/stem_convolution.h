// The first convolution of a network, which has few input channels. It reads an NCHW image directly: it copies a few
// padded rows at a time into the first-level cache, and every (channel, kernel row) becomes a tap as deep as the row is
// long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "ops/convolution.h"

namespace qarepvgg {

// One image: floats [channels][height][width], or bytes [height][width][channels], whose values in channel c are
// byte * scale[c] + shift[c].
struct Image {
  const float* floats = nullptr;
  const std::uint8_t* bytes = nullptr;
  const float *scale = nullptr, *shift = nullptr;
};

class StemConvolution {
 public:
  static constexpr std::size_t kMaxChannels = 4;

  // One image per run: in.n is ignored.
  StemConvolution(const MapShape& in, std::size_t out_c, const Window& window, const KernelTable& kernels);
  StemConvolution(const MapShape& in, const Window& window, const Panels& panels, const KernelTable& kernels);
  // groups must be 1.
  StemConvolution(const ConvShape& shape, const KernelTable& kernels);
  StemConvolution(const ConvShape& shape, const Panels& panels, const KernelTable& kernels);
  const Panels& panels() const { return panels_; }

  std::size_t weight_bytes() const { return in_.c * window_.taps() * panels_.padded() * sizeof(float); }
  void pack_weights(const float* weight, float* packed) const;

  // Scratch of one member of the team.
  std::size_t scratch_bytes() const { return in_.c * window_.y.kernel * line_ * sizeof(float); }
  // One image as independent items, its output rows, of which run_items runs some.
  std::size_t items() const { return window_.y.positions(in_.h); }
  void run_items(const Image& image, const float* weights, const float* bias, const FeatureMap& out,
                 ConvOptions options, float* scratch, const Tile& rows) const;

 private:
  void copy_rows(const Image& image, std::size_t out_row, float* lines) const;
  void copy_line(const Image& image, std::size_t channel, std::size_t row, float* line) const;

  MapShape in_;
  Window window_;
  Panels panels_;
  const KernelTable* kernels_;
  std::size_t line_;  // floats of a padded row
  // A line is a tap as deep as the kernel's row, unless dilation separates its pixels.
  std::vector<std::ptrdiff_t> taps_;
  std::size_t depth_ = 1;
};

}  // namespace qarepvgg
