// The shape of a 2-D convolution with a square kernel.
#pragma once

#include <cstddef>

#include "ops/conv_taps.h"
#include "ops/feature_map.h"

namespace qarepvgg {

struct ConvShape {
  static constexpr std::size_t kMaxKernel = 7;

  std::size_t n, in_c, in_h, in_w;
  std::size_t out_c;
  std::size_t kernel;  // square
  std::size_t stride, padding, dilation, groups;

  std::size_t reach() const { return dilation * (kernel - 1); }
  std::size_t out_h() const { return (in_h + 2 * padding - reach() - 1) / stride + 1; }
  std::size_t out_w() const { return (in_w + 2 * padding - reach() - 1) / stride + 1; }
  MapShape input() const { return {n, in_c, in_h, in_w}; }
  MapShape output() const { return {n, out_c, out_h(), out_w()}; }
  Window window() const {
    const Side side{kernel, stride, padding, padding, dilation};
    return {side, side};
  }
  std::size_t weight_elements() const { return out_c * (in_c / groups) * kernel * kernel; }
  // Multiply-accumulates of one direction.
  double macs() const { return static_cast<double>(n * out_h() * out_w()) * static_cast<double>(weight_elements()); }
};

}  // namespace qarepvgg
