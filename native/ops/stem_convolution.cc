#include "ops/stem_convolution.h"

#include <algorithm>

#include "ops/denormals.h"

namespace qarepvgg {

namespace {

Window window_of(const ConvShape& shape) {
  const Side side{shape.kernel, shape.stride, shape.padding, shape.padding, shape.dilation};
  return {side, side};
}
MapShape input_of(const ConvShape& shape) { return {1, shape.in_c, shape.in_h, shape.in_w}; }

}  // namespace

StemConvolution::StemConvolution(const ConvShape& shape, const KernelTable& kernels)
    : StemConvolution(input_of(shape), shape.out_c, window_of(shape), kernels) {}

StemConvolution::StemConvolution(const ConvShape& shape, const Panels& panels, const KernelTable& kernels)
    : StemConvolution(input_of(shape), window_of(shape), panels, kernels) {}

StemConvolution::StemConvolution(const MapShape& in, std::size_t out_c, const Window& window,
                                 const KernelTable& kernels)
    : StemConvolution(in, window, choose_panels(out_c, window.x.positions(in.w), kernels), kernels) {}

StemConvolution::StemConvolution(const MapShape& in, const Window& window, const Panels& panels,
                                 const KernelTable& kernels)
    : in_(in),
      window_(window),
      panels_(panels),
      kernels_(&kernels),
      line_(round_up(in.w + window.x.before + window.x.after, kAlignedFloats)) {
  // Lines are laid out as [channel][kernel row].
  const bool whole = window.x.dilation == 1;
  if (whole) depth_ = window.x.kernel;
  for (std::size_t line = 0; line < in.c * window.y.kernel; ++line)
    for (std::size_t kx = 0; kx < (whole ? 1 : window.x.kernel); ++kx)
      taps_.push_back(signed_size(line * line_ + kx * window.x.dilation));
}

void StemConvolution::pack_weights(const float* weight, float* packed) const {
  const std::size_t steps = taps_.size() * depth_;
  for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
    const std::size_t first = panel * panels_.width(), valid = panels_.valid(panel);
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    for (std::size_t t = 0; t < steps; ++t) {
      float* out = packed + first * steps + t * width;
      for (std::size_t lane = 0; lane < width; ++lane)
        out[lane] = lane < valid ? without_denormal(weight[(first + lane) * steps + t]) : 0.0f;
    }
  }
}

void StemConvolution::pack_bias(const float* bias, float* packed) const {
  std::copy_n(bias, panels_.channels, packed);
  std::fill(packed + panels_.channels, packed + panels_.padded(), 0.0f);
}

void StemConvolution::copy_line(const Image& image, std::size_t channel, std::size_t row, float* line) const {
  if (image.bytes == nullptr) {
    std::copy_n(image.floats + (channel * in_.h + row) * in_.w, in_.w, line);
    return;
  }
  const std::uint8_t* bytes = image.bytes + row * in_.w * in_.c + channel;
  const float scale = image.scale[channel], shift = image.shift[channel];
  for (std::size_t x = 0; x < in_.w; ++x) line[x] = static_cast<float>(bytes[x * in_.c]) * scale + shift;
}

void StemConvolution::copy_rows(const Image& image, std::size_t out_row, float* lines) const {
  const Side &down = window_.y, &across = window_.x;
  for (std::size_t c = 0; c < in_.c; ++c)
    for (std::size_t ky = 0; ky < down.kernel; ++ky) {
      float* line = lines + (c * down.kernel + ky) * line_;
      const std::size_t row = out_row * down.stride + ky * down.dilation - down.before;
      if (row >= in_.h) {  // or below zero
        std::fill_n(line, line_, 0.0f);
        continue;
      }
      std::fill_n(line, across.before, 0.0f);
      copy_line(image, c, row, line + across.before);
      std::fill(line + across.before + in_.w, line + line_, 0.0f);
    }
}

void StemConvolution::run_items(const Image& image, const float* weights, const float* bias, const FeatureMap& out,
                                ConvOptions options, float* scratch, const Tile& rows) const {
  const std::size_t columns = window_.x.positions(in_.w), stride = window_.x.stride;
  ConvTile tile{};
  tile.input_pixel = signed_size(stride);
  tile.taps = taps_.data();
  tile.tap_count = taps_.size();
  tile.depth = depth_;
  tile.out_pixel = signed_size(out.shape.pixel());
  tile.pads = true;
  tile.relu = options.relu;
  tile.ceiling = options.ceiling;
  const FeatureMap& addend = options.addend_for(out);
  tile.addend_pixel = signed_size(addend.shape.pixel());
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    copy_rows(image, row, scratch);
    float* out_row = out.at(0, signed_size(row), 0);
    const float* addend_row = addend.at(0, signed_size(row), 0);
    for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
      const std::size_t first = panel * panels_.width();
      const int vectors = panels_.panel_vectors(panel);
      const std::size_t cuts = ceil_div(columns, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
      const std::size_t least = columns / cuts, longer = columns % cuts;  // tiles of even lengths
      tile.weights = weights + first * taps_.size() * depth_;
      tile.bias = bias + first;
      tile.valid = panels_.valid(panel);
      Tile part{0, 0};
      for (std::size_t cut = 0; cut < cuts; ++cut, part.first += part.length) {
        part.length = least + (cut < longer);
        tile.input = scratch + part.first * stride;
        tile.out = out_row + part.first * out.shape.pixel() + first;
        if (options.accumulate) tile.addend = addend_row + part.first * addend.shape.pixel() + first;
        kernels_->conv[vectors - 1][part.length - 1](tile);
      }
      if (options.then != nullptr)
        kernels_->tensor->activate(*options.then, columns, tile.valid, out_row + first, tile.out_pixel);
    }
    const std::size_t pixel = out.shape.pixel();
    clear_lanes(out_row + panels_.padded(), columns, signed_size(pixel), pixel - panels_.padded());
  }
}

}  // namespace qarepvgg
