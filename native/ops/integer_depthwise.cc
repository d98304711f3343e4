#include "ops/integer_depthwise.h"

#include <algorithm>

namespace qarepvgg {
namespace {

constexpr std::size_t kRows = 4;  // rows of taps, whose products a dot adds

// Whether a window has a kernel of its own.
bool has_kernel(const Window& window) {
  const Side &y = window.y, &x = window.x;
  return y.kernel == x.kernel && (y.kernel == 3 || y.kernel == 5) && y.stride == x.stride && y.stride <= 2 &&
         y.dilation == 1 && x.dilation == 1;
}

}  // namespace

bool IntegerDepthwise::supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window) {
  return groups == in_c && in_c == out_c && groups > 1 && window.taps() <= kMaxTaps;
}

IntegerDepthwise::IntegerDepthwise(const Window& window, const MapShape& out, const IntegerKernels& kernels)
    : window_(window),
      out_(out),
      kernels_(&kernels),
      kernel_(has_kernel(window) ? kernels.depthwise[window.x.kernel == 5][window.x.stride - 1] : nullptr) {}

std::size_t IntegerDepthwise::weight_bytes() const {
  const std::size_t side = window_.x.kernel, padded = panels().padded();
  return has_dots() ? checked_product({ceil_div(side, kRows), side, padded, kRows})
                    : checked_product({window_.taps(), padded, sizeof(float)});
}

void IntegerDepthwise::pack_weights(const std::int8_t* weight, std::byte* packed) const {
  const std::size_t taps = window_.taps(), padded = panels().padded();
  if (has_dots()) {
    std::fill_n(packed, weight_bytes(), std::byte{0});
    const std::size_t side = window_.x.kernel;
    for (std::size_t c = 0; c < out_.c; ++c)
      for (std::size_t y = 0; y < side; ++y)
        for (std::size_t x = 0; x < side; ++x)
          packed[((y / kRows * side + x) * padded + c) * kRows + y % kRows] =
              static_cast<std::byte>(weight[(c * side + y) * side + x]);
    return;
  }
  auto* floats = reinterpret_cast<float*>(packed);
  std::fill_n(floats, taps * padded, 0.0f);
  for (std::size_t c = 0; c < out_.c; ++c)
    for (std::size_t t = 0; t < taps; ++t) floats[t * padded + c] = weight[c * taps + t];
}

void IntegerDepthwise::run_items(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                                 const Tile& rows) const {
  std::ptrdiff_t offsets[kMaxTaps];
  for (std::size_t t = 0; t < window_.taps(); ++t)
    offsets[t] = signed_size(t / window_.x.kernel * window_.y.dilation * in.row() +
                             t % window_.x.kernel * window_.x.dilation * in.pixel());
  IntegerDepthwiseRow row{};
  row.input_row = signed_size(in.row());
  row.pixel = signed_size(in.pixel());
  row.taps = offsets;
  row.tap_count = window_.taps();
  row.stride = signed_size(window_.x.stride * in.pixel());
  row.weights = weights;
  row.start = sums.start(0);
  row.store = sums.store(0);
  row.out_pixel = signed_size(out.pixel());
  row.pixels = out.shape.w;
  row.channels = panels().padded();
  for (std::size_t line = rows.first; line < rows.first + rows.length; ++line) {
    const std::size_t image = line / out.shape.h, y = line % out.shape.h;
    row.input =
        in.at(image, signed_size(y * window_.y.stride) - signed_size(window_.y.before), -signed_size(window_.x.before));
    row.out = out.at(image, signed_size(y), 0);
    (kernel_ != nullptr ? kernel_ : kernels_->depthwise_taps)(row);
    sums.finish(*kernels_, row.out, row.pixels, row.out_pixel, out.shape.c);
    if (sums.has_table()) clear_padding(out, sums.table_zero(), line, line + 1);
  }
}

}  // namespace qarepvgg
