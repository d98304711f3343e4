#include "ops/depthwise.h"

#include <algorithm>

#include "ops/denormals.h"

namespace qarepvgg {

bool DepthwiseConvolution::supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window) {
  const Side &y = window.y, &x = window.x;
  const bool has_kernel = y.kernel == x.kernel && (y.kernel == 3 || y.kernel == 5 || y.kernel == 7) && x.stride <= 2;
  return groups == in_c && in_c == out_c && has_kernel && (x.dilation == 1 || x.stride == 1);
}

DepthwiseConvolution::DepthwiseConvolution(const Window& window, std::size_t channels, const KernelTable& kernels)
    : window_(window),
      channels_(channels),
      padded_(round_up(channels, kAlignedFloats)),
      kernel_(kernels.depthwise[(window.x.kernel - 3) / 2][window.x.stride - 1]),
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
  DepthwiseRows rows{};
  // With a dilation, every `dilation`-th pixel of the output is a row of its own of an image of every such pixel.
  const std::size_t dilation = window_.x.dilation;
  rows.input_row = signed_size(window_.y.dilation * in.shape.row());
  rows.row_step = signed_size(window_.y.stride * in.shape.row());
  rows.pixel = signed_size(dilation * in.shape.pixel());
  rows.weights = weights;
  rows.bias = bias;
  rows.out_row = signed_size(out.shape.row());
  rows.out_pixel = signed_size(dilation * out.shape.pixel());
  rows.channels = padded_;
  rows.clamp = options.clamp;
  const FeatureMap& addend = options.addend_for(out);
  rows.addend_row = signed_size(addend.shape.row());
  rows.addend_pixel = signed_size(dilation * addend.shape.pixel());
  for (std::size_t line = first; line < end; line += rows.rows) {
    const std::size_t image = line / out.shape.h, y = line % out.shape.h;
    rows.rows = std::min(out.shape.h - y, end - line);
    const std::ptrdiff_t top = signed_size(y * window_.y.stride) - signed_size(window_.y.before);
    for (std::size_t first_x = 0; first_x < std::min(dilation, out.shape.w); ++first_x) {
      const std::ptrdiff_t x = signed_size(first_x);
      rows.pixels = ceil_div(out.shape.w - first_x, dilation);
      rows.input = in.at(image, top, x - signed_size(window_.x.before));
      rows.out = out.at(image, signed_size(y), x);
      if (options.accumulate) rows.addend = addend.at(image, signed_size(y), x);
      kernel_(rows);
    }
    if (options.then != nullptr)
      for (std::size_t done = 0; done < rows.rows; ++done)
        activate_(*options.then, out.shape.w, channels_, out.at(image, signed_size(y + done), 0),
                  signed_size(out.shape.pixel()));
  }
}

}  // namespace qarepvgg
