#include "ops/stem_convolution.h"

#include <algorithm>

namespace qarepvgg {

StemConvolution::StemConvolution(const ConvShape& shape, const KernelTable& kernels)
    : StemConvolution(shape, choose_panels(shape.out_c, shape.out_w(), kernels), kernels) {}

StemConvolution::StemConvolution(const ConvShape& shape, const Panels& panels, const KernelTable& kernels)
    : shape_(shape),
      panels_(panels),
      kernels_(&kernels),
      line_(round_up(shape.in_w + 2 * shape.padding, kAlignedFloats)) {
  // Lines are laid out as [channel][kernel row].
  for (std::size_t c = 0; c < shape.in_c; ++c)
    for (std::size_t ky = 0; ky < shape.kernel; ++ky)
      for (std::size_t kx = 0; kx < shape.kernel; ++kx)
        taps_.push_back(static_cast<std::ptrdiff_t>((c * shape.kernel + ky) * line_ + kx * shape.dilation));
}

void StemConvolution::pack_weights(const float* weight, float* packed) const {
  for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
    const std::size_t first = panel * panels_.width(), valid = panels_.valid(panel);
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    for (std::size_t t = 0; t < taps_.size(); ++t) {
      float* out = packed + first * taps_.size() + t * width;
      for (std::size_t lane = 0; lane < width; ++lane)
        out[lane] = lane < valid ? weight[(first + lane) * taps_.size() + t] : 0.0f;
    }
  }
}

void StemConvolution::pack_bias(const float* bias, float* packed) const {
  std::copy_n(bias, shape_.out_c, packed);
  std::fill(packed + shape_.out_c, packed + panels_.padded(), 0.0f);
}

void StemConvolution::copy_line(const Image& image, std::size_t channel, std::size_t row, float* line) const {
  if (image.bytes == nullptr) {
    std::copy_n(image.floats + (channel * shape_.in_h + row) * shape_.in_w, shape_.in_w, line);
    return;
  }
  const std::uint8_t* bytes = image.bytes + row * shape_.in_w * shape_.in_c + channel;
  const float scale = image.scale[channel], shift = image.shift[channel];
  for (std::size_t x = 0; x < shape_.in_w; ++x) line[x] = static_cast<float>(bytes[x * shape_.in_c]) * scale + shift;
}

void StemConvolution::copy_rows(const Image& image, std::size_t out_row, float* lines) const {
  for (std::size_t c = 0; c < shape_.in_c; ++c)
    for (std::size_t ky = 0; ky < shape_.kernel; ++ky) {
      float* line = lines + (c * shape_.kernel + ky) * line_;
      const std::size_t padded_row = out_row * shape_.stride + ky * shape_.dilation;
      std::fill_n(line, line_, 0.0f);
      if (padded_row >= shape_.padding && padded_row < shape_.in_h + shape_.padding)
        copy_line(image, c, padded_row - shape_.padding, line + shape_.padding);
    }
}

void StemConvolution::run_part(const Image& image, const float* weights, const float* bias, const FeatureMap& out,
                               bool relu, float* scratch, const Member& member) const {
  const std::size_t rows = shape_.out_h(), columns = shape_.out_w();
  ConvTile tile{};
  tile.input_pixel = static_cast<std::ptrdiff_t>(shape_.stride);
  tile.taps = taps_.data();
  tile.tap_count = taps_.size();
  tile.depth = 1;
  tile.out_pixel = static_cast<std::ptrdiff_t>(out.shape.pixel());
  tile.relu = relu;
  for (std::size_t row = member.begin(rows); row < member.end(rows); ++row) {
    copy_rows(image, row, scratch);
    float* out_row = out.at(0, static_cast<std::ptrdiff_t>(row), 0);
    for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
      const std::size_t first = panel * panels_.width();
      const int vectors = panels_.panel_vectors(panel);
      const std::size_t cuts = ceil_div(columns, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
      tile.weights = weights + first * taps_.size();
      tile.bias = bias + first;
      tile.valid = panels_.valid(panel);
      for (std::size_t cut = 0; cut < cuts; ++cut) {
        const Tile part = even_tile(columns, cuts, cut);
        tile.input = scratch + part.first * shape_.stride;
        tile.out = out_row + part.first * out.shape.pixel() + first;
        kernels_->conv[vectors - 1][part.length - 1](tile);
      }
    }
  }
}

}  // namespace qarepvgg
