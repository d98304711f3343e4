#include "ops/integer_stem.h"

#include <algorithm>

#include "ops/integer_convolution.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kByteValues = 256;

}  // namespace

IntegerStem::IntegerStem(const ConvShape& shape, const Quantization& input, const IntegerKernels& kernels)
    : IntegerStem(shape, choose_panels(shape.out_c, shape.out_w(), kernels), input, kernels) {}

// Without dilation, the columns of a kernel row are consecutive steps of one tap.
IntegerStem::IntegerStem(const ConvShape& shape, const Panels& panels, const Quantization& input,
                         const IntegerKernels& kernels)
    : shape_(shape),
      panels_(panels),
      input_(input),
      kernels_(&kernels),
      planes_(ceil_div(shape.in_c, step_elements(kernels))),
      line_(round_up(checked_mul(shape.in_w + 2 * shape.padding, kStepBytes), kAlignment)),
      taps_(shape.dilation == 1 ? shape.kernel : shape.kernel * shape.kernel),
      tap_steps_(shape.dilation == 1 ? shape.kernel : 1) {}

// Packs into [panel][plane][kernel row][kernel column][lane of the panel][element].
void IntegerStem::pack_weights(const std::int8_t* weight, std::byte* packed) const {
  const std::size_t elements = step_elements(*kernels_), positions = shape_.kernel * shape_.kernel;
  for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
    const std::size_t first = panel * panels_.width(), valid = panels_.valid(panel);
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    for (std::size_t plane = 0; plane < planes_; ++plane)
      for (std::size_t position = 0; position < positions; ++position)
        packed = pack_step(
            *kernels_, width,
            [&](std::size_t lane, std::size_t e) {
              const std::size_t c = plane * elements + e;
              return lane < valid && c < shape_.in_c ? weight[((first + lane) * shape_.in_c + c) * positions + position]
                                                     : std::int8_t{0};
            },
            packed);
  }
}

// Lines, then tables of bytes for each channel, then the values of the bytes of one channel.
std::size_t IntegerStem::scratch_bytes() const {
  const std::size_t tables = shape_.in_c * kByteValues * kStepBytes;
  return checked_add(checked_product({shape_.kernel, planes_, line_}), tables + kByteValues * sizeof(float));
}

template <class PlaneOf>
void IntegerStem::quantize_plane(std::size_t plane, std::size_t pixels, const PlaneOf& plane_of, std::byte* out) const {
  const float* planes[kStepBytes] = {};
  for (std::size_t e = 0; e < step_elements(*kernels_); ++e) {
    const std::size_t channel = plane * step_elements(*kernels_) + e;
    if (channel < shape_.in_c) planes[e] = plane_of(channel);
  }
  kernels_->quantize_planes(planes, pixels, input_.parameters(), out);
}

void IntegerStem::make_tables(const Image& image, std::uint32_t* tables) const {
  float* values = reinterpret_cast<float*>(tables + shape_.in_c * kByteValues);
  for (std::size_t channel = 0; channel < shape_.in_c; ++channel) {
    for (std::size_t byte = 0; byte < kByteValues; ++byte)
      values[byte] = static_cast<float>(byte) * image.scale[channel] + image.shift[channel];
    const auto only = [&](std::size_t c) { return c == channel ? values : nullptr; };
    quantize_plane(channel / step_elements(*kernels_), kByteValues, only,
                   reinterpret_cast<std::byte*>(tables + channel * kByteValues));
  }
}

void IntegerStem::copy_row(const Image& image, const std::uint32_t* tables, std::size_t row, std::byte* lines) const {
  const std::size_t element = static_cast<std::size_t>(kernels_->element_bytes), elements = step_elements(*kernels_);
  const std::size_t width = shape_.in_w;
  fill_elements(lines, planes_ * line_ / element, element, input_.zero_point());
  if (row < shape_.padding || row >= shape_.in_h + shape_.padding) return;
  const std::size_t y = row - shape_.padding;
  for (std::size_t plane = 0; plane < planes_; ++plane) {
    std::byte* out = lines + plane * line_ + shape_.padding * kStepBytes;
    if (image.bytes == nullptr) {
      const auto plane_of = [&](std::size_t c) { return image.floats + (c * shape_.in_h + y) * width; };
      quantize_plane(plane, width, plane_of, out);
      continue;
    }
    auto* steps = reinterpret_cast<std::uint32_t*>(out);
    const std::size_t first = plane * elements, count = std::min(elements, shape_.in_c - first);
    const std::uint8_t* bytes = image.bytes + y * width * shape_.in_c + first;
    for (std::size_t x = 0; x < width; ++x, bytes += shape_.in_c) {
      std::uint32_t step = 0;
      for (std::size_t e = 0; e < count; ++e) step |= tables[(first + e) * kByteValues + bytes[e]];
      steps[x] = step;
    }
  }
}

void IntegerStem::run_items(const Image& image, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                            std::byte* scratch, const Tile& rows, bool first) const {
  const std::size_t columns = shape_.out_w(), kernel = shape_.kernel;
  const std::size_t slot = planes_ * line_;
  auto* tables = reinterpret_cast<std::uint32_t*>(scratch + kernel * slot);
  if (image.bytes != nullptr && first) make_tables(image, tables);

  // Without dilation, an output row shares lines with the row before, so each line has its place in a ring.
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t held[ConvShape::kMaxKernel];
  std::fill_n(held, kernel, kNone);
  std::ptrdiff_t taps[kStepBytes * ConvShape::kMaxKernel * ConvShape::kMaxKernel];

  IntegerTile tile{};
  tile.input_pixel = signed_size(shape_.stride * kStepBytes);
  tile.taps = taps;
  tile.tap_count = planes_ * taps_;
  tile.steps = tap_steps_;
  tile.out_pixel = signed_size(out.pixel());
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    for (std::size_t ky = 0; ky < kernel; ++ky) {
      const std::size_t padded_row = row * shape_.stride + ky * shape_.dilation;
      const std::size_t place = shape_.dilation == 1 ? padded_row % kernel : ky;
      if (held[place] != padded_row) copy_row(image, tables, padded_row, scratch + place * slot);
      held[place] = padded_row;
      for (std::size_t plane = 0; plane < planes_; ++plane)
        for (std::size_t kx = 0; kx < taps_ / kernel; ++kx)
          taps[plane * taps_ + ky * (taps_ / kernel) + kx] =
              signed_size(place * slot + plane * line_ + kx * shape_.dilation * kStepBytes);
    }
    std::byte* out_row = out.at(0, signed_size(row), 0);
    for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
      const std::size_t first = panel * panels_.width();
      const int vectors = panels_.panel_vectors(panel);
      const std::size_t cuts = ceil_div(columns, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
      tile.weights = weights + first * planes_ * kernel * kernel * kStepBytes;
      tile.start = sums.start(first);
      tile.store = sums.store(first);
      tile.valid = panels_.valid(panel);
      for (std::size_t cut = 0; cut < cuts; ++cut) {
        const Tile part = even_tile(columns, cuts, cut);
        tile.input = scratch + part.first * shape_.stride * kStepBytes;
        tile.out = out_row + part.first * out.pixel() + first * out.element;
        kernels_->conv[vectors - 1][part.length - 1](tile);
      }
    }
    sums.finish(*kernels_, out_row, columns, tile.out_pixel, shape_.out_c);
  }
}

}  // namespace qarepvgg
