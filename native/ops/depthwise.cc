#include "ops/depthwise.h"

#include <algorithm>

#include "ops/denormals.h"

namespace qarepvgg {

namespace {

// Whether a window has a kernel of its own.
bool has_kernel(const Window& window) {
  const Side &y = window.y, &x = window.x;
  return y.kernel == x.kernel && (x.kernel == 3 || x.kernel == 5 || x.kernel == 7) && x.stride <= 2 &&
         (x.dilation == 1 || x.stride == 1);
}

}  // namespace

bool DepthwiseConvolution::supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window) {
  return groups == in_c && in_c == out_c && groups > 1 && window.taps() <= ConvTaps::kMaxTaps;
}

DepthwiseConvolution::DepthwiseConvolution(const Window& window, std::size_t channels, const KernelTable& kernels)
    : window_(window),
      channels_(channels),
      padded_(round_up(channels, kAlignedFloats)),
      kernel_(has_kernel(window) ? kernels.depthwise[(window.x.kernel - 3) / 2][window.x.stride - 1] : nullptr),
      any_kernel_(kernels.depthwise_taps),
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
  const Side &down = window_.y, &across = window_.x;
  const FeatureMap& addend = options.addend_for(out);
  std::ptrdiff_t taps[ConvTaps::kMaxTaps];
  if (kernel_ == nullptr)
    for (std::size_t t = 0; t < window_.taps(); ++t)
      taps[t] = signed_size(t / across.kernel * down.dilation * in.shape.row() +
                            t % across.kernel * across.dilation * in.shape.pixel());
  // With a dilation and a kernel of its own, every `dilation`-th pixel of the output is a row of its own of an image of
  // every such pixel.
  const std::size_t dilation = kernel_ != nullptr ? across.dilation : 1;
  DepthwiseRows rows{};
  rows.input_row = signed_size(down.dilation * in.shape.row());
  rows.row_step = signed_size(down.stride * in.shape.row());
  rows.pixel = signed_size(dilation * in.shape.pixel());
  rows.step = signed_size(across.stride * in.shape.pixel());
  rows.taps = taps;
  rows.tap_count = window_.taps();
  rows.weights = weights;
  rows.bias = bias;
  rows.out_row = signed_size(out.shape.row());
  rows.out_pixel = signed_size(dilation * out.shape.pixel());
  rows.channels = padded_;
  rows.clamp = options.clamp;
  rows.addend_row = signed_size(addend.shape.row());
  rows.addend_pixel = signed_size(dilation * addend.shape.pixel());
  for (std::size_t line = first; line < end; line += rows.rows) {
    const std::size_t image = line / out.shape.h, y = line % out.shape.h;
    rows.rows = std::min(out.shape.h - y, end - line);
    const std::ptrdiff_t top = signed_size(y * down.stride) - signed_size(down.before);
    for (std::size_t x = 0; x < std::min(dilation, out.shape.w); ++x) {
      rows.pixels = ceil_div(out.shape.w - x, dilation);
      rows.input = in.at(image, top, signed_size(x * across.stride) - signed_size(across.before));
      rows.out = out.at(image, signed_size(y), signed_size(x));
      if (options.accumulate) rows.addend = addend.at(image, signed_size(y), signed_size(x));
      (kernel_ != nullptr ? kernel_ : any_kernel_)(rows);
    }
    if (options.then != nullptr)
      for (std::size_t done = 0; done < rows.rows; ++done)
        activate_(*options.then, out.shape.w, channels_, out.at(image, signed_size(y + done), 0),
                  signed_size(out.shape.pixel()));
  }
}

// Into [16 channels][tap][channel].
void DepthwiseConvolution::pack_line_weights(const float* weight, float* packed) const {
  std::fill_n(packed, weight_floats(), 0.0f);
  const std::size_t taps = window_.taps();
  for (std::size_t c = 0; c < channels_; ++c)
    for (std::size_t t = 0; t < taps; ++t)
      packed[(c / kAlignedFloats * taps + t) * kAlignedFloats + c % kAlignedFloats] =
          without_denormal(weight[c * taps + t]);
}

void DepthwiseConvolution::run_line(const FeatureMap& in, const float* weights, const float* bias,
                                    const FeatureMap& out, ConvOptions options, std::size_t line, const Tile& columns,
                                    float* scratch) const {
  const Side& across = window_.x;
  const FeatureMap& addend = options.addend_for(out);
  std::ptrdiff_t taps[ConvTaps::kMaxTaps];
  for (std::size_t t = 0; t < window_.taps(); ++t) taps[t] = signed_size(t * across.dilation * kAlignedFloats);
  DepthwiseRows row{};
  row.input = scratch;
  row.step = signed_size(across.stride * kAlignedFloats);
  row.taps = taps;
  row.tap_count = window_.taps();
  row.out_pixel = signed_size(out.shape.pixel());
  row.rows = 1;
  row.pixels = columns.length;
  row.channels = kAlignedFloats;
  row.clamp = options.clamp;
  row.addend_pixel = signed_size(addend.shape.pixel());
  // The padded columns that are read, of which those from `begin` to `end` are in the image.
  const std::size_t first = columns.first * across.stride,
                    last = first + (columns.length - 1) * across.stride + across.reach() + 1;
  const std::size_t begin = std::clamp(across.before, first, last),
                    end = std::clamp(across.before + in.shape.w, begin, last);
  std::fill_n(scratch, (begin - first) * kAlignedFloats, 0.0f);
  std::fill_n(scratch + (end - first) * kAlignedFloats, (last - end) * kAlignedFloats, 0.0f);
  const std::size_t image = line / out.shape.h;
  const std::ptrdiff_t x = signed_size(columns.first), y = signed_size(line % out.shape.h);
  for (std::size_t c = 0; c < padded_; c += kAlignedFloats) {
    const float* from = in.at(image, y, signed_size(begin) - signed_size(across.before)) + c;
    for (std::size_t i = begin; i < end; ++i, from += in.shape.pixel())
      std::copy_n(from, kAlignedFloats, scratch + (i - first) * kAlignedFloats);
    row.weights = weights + c * window_.taps();
    row.bias = bias + c;
    row.out = out.at(image, y, x) + c;
    if (options.accumulate) row.addend = addend.at(image, y, x) + c;
    any_kernel_(row);
  }
  if (options.then != nullptr)
    activate_(*options.then, columns.length, channels_, out.at(image, y, x), signed_size(out.shape.pixel()));
}

}  // namespace qarepvgg
