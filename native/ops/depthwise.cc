#include "ops/depthwise.h"

#include <algorithm>

#include "ops/denormals.h"

namespace qarepvgg {

bool DepthwiseConvolution::supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window) {
  const Side &y = window.y, &x = window.x;
  return groups == in_c && in_c == out_c && y.kernel == x.kernel && (y.kernel == 3 || y.kernel == 5) && x.stride <= 2 &&
         y.dilation == 1 && x.dilation == 1;
}

DepthwiseConvolution::DepthwiseConvolution(const Window& window, std::size_t channels, const KernelTable& kernels)
    : window_(window),
      channels_(channels),
      padded_(round_up(channels, kAlignedFloats)),
      kernel_(kernels.depthwise[window.x.kernel == 5][window.x.stride - 1]),
      activate_(kernels.tensor->activate) {}

void DepthwiseConvolution::pack_weights(const float* weight, float* packed) const {
  std::fill_n(packed, weight_floats(), 0.0f);
  const std::size_t taps = window_.taps();
  for (std::size_t c = 0; c < channels_; ++c)
    for (std::size_t t = 0; t < taps; ++t) packed[t * padded_ + c] = without_denormal(weight[c * taps + t]);
}

void DepthwiseConvolution::pack_bias(const float* bias, float* packed) const {
  std::fill_n(packed, padded_, 0.0f);
  if (bias != nullptr) std::copy_n(bias, channels_, packed);
}

void DepthwiseConvolution::run_rows(const FeatureMap& in, const float* weights, const float* bias,
                                    const FeatureMap& out, ConvOptions options, std::size_t first,
                                    std::size_t end) const {
  DepthwiseRow row{};
  row.input_row = signed_size(in.shape.row());
  row.pixel = signed_size(in.shape.pixel());
  row.weights = weights;
  row.bias = bias;
  row.out_pixel = signed_size(out.shape.pixel());
  row.pixels = out.shape.w;
  row.channels = padded_;
  row.clamp = options.clamp;
  const FeatureMap& addend = options.addend_for(out);
  row.addend_pixel = signed_size(addend.shape.pixel());
  for (std::size_t line = first; line < end; ++line) {
    const std::size_t image = line / out.shape.h, y = line % out.shape.h;
    row.input =
        in.at(image, signed_size(y * window_.y.stride) - signed_size(window_.y.before), -signed_size(window_.x.before));
    row.out = out.at(image, signed_size(y), 0);
    if (options.accumulate) row.addend = addend.at(image, signed_size(y), 0);
    kernel_(row);
    if (options.then != nullptr) activate_(*options.then, row.pixels, channels_, row.out, row.out_pixel);
  }
}

}  // namespace qarepvgg
