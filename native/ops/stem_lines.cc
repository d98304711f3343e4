#include "ops/stem_lines.h"

#include <algorithm>

namespace qarepvgg {
namespace {

constexpr std::size_t kByteValues = 256;

}  // namespace

void FloatLines::clear(float* line, std::size_t steps) const { std::fill_n(line, steps, 0.0f); }

void FloatLines::copy(const Image& image, const std::byte*, std::size_t n, std::size_t plane, std::size_t y,
                      float* line) const {
  const MapShape& in = images_;
  if (image.bytes == nullptr) {
    std::copy_n(image.floats + ((n * in.c + plane) * in.h + y) * in.w, in.w, line);
    return;
  }
  const std::uint8_t* bytes = image.bytes + (n * in.h + y) * in.w * in.c + plane;
  const float scale = image.scale[plane], shift = image.shift[plane];
  for (std::size_t x = 0; x < in.w; ++x) line[x] = static_cast<float>(bytes[x * in.c]) * scale + shift;
}

std::size_t IntegerLines::table_bytes() const { return kByteValues * (images_.c * kStepBytes + sizeof(float)); }

template <class PlaneOf>
void IntegerLines::quantize(std::size_t plane, std::size_t pixels, const PlaneOf& plane_of, std::byte* out) const {
  const float* planes[kStepBytes] = {};
  for (std::size_t e = 0; e < elements_; ++e) {
    const std::size_t channel = plane * elements_ + e;
    if (channel < images_.c) planes[e] = plane_of(channel);
  }
  kernels_->quantize_planes(planes, pixels, quantization_.parameters(), out);
}

void IntegerLines::make_tables(const Image& image, std::byte* memory) const {
  if (image.bytes == nullptr) return;
  float* values = reinterpret_cast<float*>(memory + images_.c * kByteValues * kStepBytes);
  for (std::size_t channel = 0; channel < images_.c; ++channel) {
    for (std::size_t byte = 0; byte < kByteValues; ++byte)
      values[byte] = static_cast<float>(byte) * image.scale[channel] + image.shift[channel];
    const auto only = [&](std::size_t c) { return c == channel ? values : nullptr; };
    quantize(channel / elements_, kByteValues, only, memory + channel * kByteValues * kStepBytes);
  }
}

void IntegerLines::clear(std::byte* line, std::size_t steps) const {
  const std::size_t element = kStepBytes / elements_;
  fill_elements(line, steps * elements_, element, quantization_.zero_point());
}

void IntegerLines::copy(const Image& image, const std::byte* tables, std::size_t n, std::size_t plane, std::size_t y,
                        std::byte* line) const {
  const MapShape& in = images_;
  if (image.bytes == nullptr) {
    const auto plane_of = [&](std::size_t c) { return image.floats + ((n * in.c + c) * in.h + y) * in.w; };
    quantize(plane, in.w, plane_of, line);
    return;
  }
  const auto* steps_of = reinterpret_cast<const std::uint32_t*>(tables);
  auto* steps = reinterpret_cast<std::uint32_t*>(line);
  const std::size_t first = plane * elements_, count = std::min(elements_, in.c - first);
  const std::uint8_t* bytes = image.bytes + (n * in.h + y) * in.w * in.c + first;
  for (std::size_t x = 0; x < in.w; ++x, bytes += in.c) {
    std::uint32_t step = 0;
    for (std::size_t e = 0; e < count; ++e) step |= steps_of[(first + e) * kByteValues + bytes[e]];
    steps[x] = step;
  }
}

}  // namespace qarepvgg
