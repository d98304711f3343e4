// Depthwise convolution: as many groups as channels, 3x3, 5x5 or 7x7, stride 1 or 2 along x, dilated along x with
// stride 1 only. ops/convolution.h computes all other depthwise convolutions.
#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/convolution.h"
#include "ops/feature_map.h"

namespace qarepvgg {

class DepthwiseConvolution {
 public:
  static bool supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window);

  DepthwiseConvolution(const Window& window, std::size_t channels, const KernelTable& kernels);

  std::size_t weight_floats() const { return window_.taps() * padded_; }
  std::size_t bias_floats() const { return padded_; }
  // weight: [channels][1][kernel][kernel]. Padding lanes become zero.
  void pack_weights(const float* weight, float* packed) const;
  // bias: may be null.
  void pack_bias(const float* bias, float* packed) const;

  // Computes output rows [first, end), numbered through all images. The input's halo must cover the padding.
  void run_rows(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                ConvOptions options, std::size_t first, std::size_t end) const;

  // For kernels of one row: computes some columns of output row `line`. The input needs no halo: copies 16 channels of
  // a row at a time, with its padding, to `scratch`. Its weights are packed for it.
  static bool supports_line(const Window& window) { return window.y == Side{}; }
  void pack_line_weights(const float* weight, float* packed) const;
  std::size_t line_scratch_floats(std::size_t width) const {
    return (width + window_.x.before + window_.x.after) * kAlignedFloats;
  }
  void run_line(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                ConvOptions options, std::size_t line, const Tile& columns, float* scratch) const;

 private:
  Window window_;
  std::size_t channels_, padded_;
  void (*kernel_)(const DepthwiseRows&);  // null for windows that have none of their own
  void (*any_kernel_)(const DepthwiseRows&);
  void (*activate_)(const UnaryFunction&, std::size_t, std::size_t, float*, std::ptrdiff_t);
};

}  // namespace qarepvgg
