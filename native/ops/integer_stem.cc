#include "ops/integer_stem.h"

#include <algorithm>

#include "ops/integer_convolution.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kByteValues = 256;
// A step holds at least two channels, in words.
constexpr std::size_t kMaxPlanes = IntegerStem::kMaxChannels / 2;

}  // namespace

IntegerStem::IntegerStem(const MapShape& in, std::size_t out_c, const Window& window, const Quantization& input,
                         const IntegerKernels& kernels)
    : IntegerStem(in, window, choose_panels(out_c, window.x.positions(in.w), kernels), input, kernels) {}

// Without dilation, the columns of a kernel row are consecutive steps of one tap.
IntegerStem::IntegerStem(const MapShape& in, const Window& window, const Panels& panels, const Quantization& input,
                         const IntegerKernels& kernels)
    : in_(in),
      window_(window),
      panels_(panels),
      input_(input),
      kernels_(&kernels),
      planes_(ceil_div(in.c, step_elements(kernels))),
      line_(round_up(checked_mul(in.w + window.x.before + window.x.after, kStepBytes), kAlignment)),
      row_taps_(window.x.dilation == 1 ? 1 : window.x.kernel),
      tap_steps_(window.x.kernel / row_taps_) {}

// Packs into [panel][plane][kernel row][kernel column][lane of the panel][element].
void IntegerStem::pack_weights(const std::int8_t* weight, std::byte* packed) const {
  const std::size_t elements = step_elements(*kernels_), positions = window_.taps();
  for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
    const std::size_t first = panel * panels_.width(), valid = panels_.valid(panel);
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    for (std::size_t plane = 0; plane < planes_; ++plane)
      for (std::size_t position = 0; position < positions; ++position)
        packed = pack_step(
            *kernels_, width,
            [&](std::size_t lane, std::size_t e) {
              const std::size_t c = plane * elements + e;
              return lane < valid && c < in_.c ? weight[((first + lane) * in_.c + c) * positions + position]
                                               : std::int8_t{0};
            },
            packed);
  }
}

// Lines, then tables of bytes for each channel, then the values of the bytes of one channel.
std::size_t IntegerStem::scratch_bytes() const {
  const std::size_t tables = in_.c * kByteValues * kStepBytes;
  return checked_add(checked_product({window_.y.kernel, planes_, line_}), tables + kByteValues * sizeof(float));
}

template <class PlaneOf>
void IntegerStem::quantize_plane(std::size_t plane, std::size_t pixels, const PlaneOf& plane_of, std::byte* out) const {
  const float* planes[kStepBytes] = {};
  for (std::size_t e = 0; e < step_elements(*kernels_); ++e) {
    const std::size_t channel = plane * step_elements(*kernels_) + e;
    if (channel < in_.c) planes[e] = plane_of(channel);
  }
  kernels_->quantize_planes(planes, pixels, input_.parameters(), out);
}

void IntegerStem::make_tables(const Image& image, std::uint32_t* tables) const {
  float* values = reinterpret_cast<float*>(tables + in_.c * kByteValues);
  for (std::size_t channel = 0; channel < in_.c; ++channel) {
    for (std::size_t byte = 0; byte < kByteValues; ++byte)
      values[byte] = static_cast<float>(byte) * image.scale[channel] + image.shift[channel];
    const auto only = [&](std::size_t c) { return c == channel ? values : nullptr; };
    quantize_plane(channel / step_elements(*kernels_), kByteValues, only,
                   reinterpret_cast<std::byte*>(tables + channel * kByteValues));
  }
}

void IntegerStem::copy_row(const Image& image, const std::uint32_t* tables, std::size_t row, std::byte* lines) const {
  const std::size_t element = static_cast<std::size_t>(kernels_->element_bytes), elements = step_elements(*kernels_);
  const std::size_t width = in_.w;
  fill_elements(lines, planes_ * line_ / element, element, input_.zero_point());
  const std::size_t y = row - window_.y.before;
  if (y >= in_.h) return;  // or below zero
  for (std::size_t plane = 0; plane < planes_; ++plane) {
    std::byte* out = lines + plane * line_ + window_.x.before * kStepBytes;
    if (image.bytes == nullptr) {
      const auto plane_of = [&](std::size_t c) { return image.floats + (c * in_.h + y) * width; };
      quantize_plane(plane, width, plane_of, out);
      continue;
    }
    auto* steps = reinterpret_cast<std::uint32_t*>(out);
    const std::size_t first = plane * elements, count = std::min(elements, in_.c - first);
    const std::uint8_t* bytes = image.bytes + y * width * in_.c + first;
    for (std::size_t x = 0; x < width; ++x, bytes += in_.c) {
      std::uint32_t step = 0;
      for (std::size_t e = 0; e < count; ++e) step |= tables[(first + e) * kByteValues + bytes[e]];
      steps[x] = step;
    }
  }
}

void IntegerStem::run_items(const Image& image, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                            std::byte* scratch, const Tile& rows, bool first) const {
  const Side &down = window_.y, &across = window_.x;
  const std::size_t columns = across.positions(in_.w);
  const std::size_t slot = planes_ * line_, plane_taps = down.kernel * row_taps_;
  auto* tables = reinterpret_cast<std::uint32_t*>(scratch + down.kernel * slot);
  if (image.bytes != nullptr && first) make_tables(image, tables);

  // Without dilation, an output row shares lines with the row before, so each line has its place in a ring.
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t held[ConvTaps::kMaxTaps];
  std::fill_n(held, down.kernel, kNone);
  std::ptrdiff_t taps[kMaxPlanes * ConvTaps::kMaxTaps];

  IntegerTile tile{};
  tile.input_pixel = signed_size(across.stride * kStepBytes);
  tile.taps = taps;
  tile.tap_count = planes_ * plane_taps;
  tile.steps = tap_steps_;
  tile.out_pixel = signed_size(out.pixel());
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    for (std::size_t ky = 0; ky < down.kernel; ++ky) {
      const std::size_t padded_row = row * down.stride + ky * down.dilation;
      const std::size_t place = down.dilation == 1 ? padded_row % down.kernel : ky;
      if (held[place] != padded_row) copy_row(image, tables, padded_row, scratch + place * slot);
      held[place] = padded_row;
      for (std::size_t plane = 0; plane < planes_; ++plane)
        for (std::size_t kx = 0; kx < row_taps_; ++kx)
          taps[plane * plane_taps + ky * row_taps_ + kx] =
              signed_size(place * slot + plane * line_ + kx * across.dilation * kStepBytes);
    }
    std::byte* out_row = out.at(0, signed_size(row), 0);
    for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
      const std::size_t first = panel * panels_.width();
      const int vectors = panels_.panel_vectors(panel);
      const std::size_t cuts = ceil_div(columns, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
      tile.weights = weights + first * planes_ * window_.taps() * kStepBytes;
      tile.start = sums.start(first);
      tile.store = sums.store(first);
      tile.valid = panels_.valid(panel);
      for (std::size_t cut = 0; cut < cuts; ++cut) {
        const Tile part = even_tile(columns, cuts, cut);
        tile.input = scratch + part.first * across.stride * kStepBytes;
        tile.out = out_row + part.first * out.pixel() + first * out.element;
        kernels_->conv[vectors - 1][part.length - 1](tile);
      }
    }
    sums.finish(*kernels_, out_row, columns, tile.out_pixel, panels_.channels);
  }
}

}  // namespace qarepvgg
