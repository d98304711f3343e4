#include "ops/image.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/dispatch.h"

namespace qarepvgg {
namespace {

// An image of at least so many bytes is worth another thread.
constexpr std::size_t kShareBytes = std::size_t{1} << 16;

std::size_t ranges_for(int threads, std::size_t bytes) {
  const std::size_t most = static_cast<std::size_t>(threads) * kPiecesPerThread;
  return std::clamp<std::size_t>(bytes / kShareBytes, 1, most);
}

// Two pixels wide.
double triangle(double x) { return std::max(1.0 - std::abs(x), 0.0); }

// Four pixels wide: Keys' cubic with a = -0.5.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// The memory of a PixelWeights.
struct Weights {
  std::vector<std::size_t> starts, counts;
  std::vector<std::int32_t> values;
  std::size_t reach;

  PixelWeights pixels(std::size_t inputs) const {
    return {starts.data(), counts.data(), values.data(), reach, starts.size(), inputs};
  }
};

Weights weights_of(std::size_t from, std::size_t to, ResizeFilter filter) {
  const bool is_cubic = filter == ResizeFilter::kBicubic;
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0);  // if the image shrinks, the filter's width counts in output pixels
  const double support = (is_cubic ? 2.0 : 1.0) * stretch;
  Weights weights{std::vector<std::size_t>(to), std::vector<std::size_t>(to), {}, 0};
  weights.reach = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  weights.values.resize(checked_mul(to, weights.reach));
  std::vector<double> raw(weights.reach);
  for (std::size_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto start = static_cast<std::size_t>(std::max(center - support + 0.5, 0.0));
    const std::size_t end = std::min(static_cast<std::size_t>(center + support + 0.5), from);
    const std::size_t count = end - start;
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const double at = (static_cast<double>(k + start) - center + 0.5) * (1.0 / stretch);
      raw[k] = is_cubic ? cubic(at) : triangle(at);
      sum += raw[k];
    }
    for (std::size_t k = 0; k < count; ++k) {
      const double weight = (sum != 0.0 ? raw[k] / sum : raw[k]) * (1 << kWeightBits);
      weights.values[i * weights.reach + k] = static_cast<std::int32_t>(weight + (weight < 0 ? -0.5 : 0.5));
    }
    weights.starts[i] = start;
    weights.counts[i] = count;
  }
  return weights;
}

std::uint8_t to_byte(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

// For any number of channels.
void scale_row(const std::uint8_t* in, std::uint8_t* out, const Weights& weights, std::size_t channels) {
  for (std::size_t i = 0; i < weights.starts.size(); ++i)
    for (std::size_t c = 0; c < channels; ++c) {
      std::int32_t sum = 1 << (kWeightBits - 1);
      for (std::size_t k = 0; k < weights.counts[i]; ++k)
        sum += in[(weights.starts[i] + k) * channels + c] * weights.values[i * weights.reach + k];
      *out++ = to_byte(sum);
    }
}

// The nearest input for each output position. Positions are sums, as in Pillow, because products would round
// differently.
std::vector<std::size_t> nearest(std::size_t from, std::size_t to) {
  std::vector<std::size_t> places(to);
  const double step = static_cast<double>(from) / static_cast<double>(to);
  double at = step * 0.5;
  for (std::size_t& place : places) {
    place = std::min(static_cast<std::size_t>(at), from - 1);
    at += step;
  }
  return places;
}

using Bytes = std::vector<std::uint8_t>;

Bytes scale_nearest(int threads, const ImageTransform& t, const std::uint8_t* image) {
  const std::vector<std::size_t> columns = nearest(t.from.width, t.scaled.width);
  const std::vector<std::size_t> rows = nearest(t.from.height, t.scaled.height);
  const std::size_t stride = t.scaled.width * t.channels;
  Bytes scaled(checked_mul(t.scaled.height, stride));
  parallel_ranges(threads, t.scaled.height, ranges_for(threads, scaled.size()),
                  [&](std::size_t first, std::size_t end) {
                    for (std::size_t row = first; row < end; ++row) {
                      const std::uint8_t* line = image + rows[row] * t.from.width * t.channels;
                      std::uint8_t* out = scaled.data() + row * stride;
                      for (const std::size_t column : columns)
                        out = std::copy_n(line + column * t.channels, t.channels, out);
                    }
                  });
  return scaled;
}

Bytes scale_weighted(int threads, const ImageTransform& t, const std::uint8_t* image) {
  const ImageKernels& kernels = *active_kernels().image;
  const std::size_t stride = t.scaled.width * t.channels;
  Bytes rows;
  if (t.from.width != t.scaled.width) {
    const Weights weights = weights_of(t.from.width, t.scaled.width, t.filter);
    const std::size_t from_stride = t.from.width * t.channels;
    rows.resize(checked_mul(t.from.height, stride));
    const std::size_t ranges = ranges_for(threads, t.from.height * std::max(stride, from_stride));
    parallel_ranges(threads, t.from.height, ranges, [&](std::size_t first, std::size_t end) {
      if (t.channels == 3) {
        kernels.scale_rows(image + first * from_stride, from_stride, weights.pixels(t.from.width), end - first,
                           rows.data() + first * stride, stride);
        return;
      }
      for (std::size_t row = first; row < end; ++row)
        scale_row(image + row * from_stride, rows.data() + row * stride, weights, t.channels);
    });
    image = rows.data();
  }
  if (t.from.height == t.scaled.height) return rows;
  const Weights weights = weights_of(t.from.height, t.scaled.height, t.filter);
  Bytes scaled(checked_mul(t.scaled.height, stride));
  const std::size_t ranges = ranges_for(threads, std::max(t.from.height, t.scaled.height) * stride);
  parallel_ranges(threads, t.scaled.height, ranges, [&](std::size_t first, std::size_t end) {
    for (std::size_t row = first; row < end; ++row)
      kernels.blend_rows(image + weights.starts[row] * stride, stride, weights.values.data() + row * weights.reach,
                         weights.counts[row], stride, scaled.data() + row * stride);
  });
  return scaled;
}

// The part of a line of `length` pixels at `at` that lies on a canvas of `room` pixels.
struct Overlap {
  std::size_t from, to, count;
};
Overlap overlap(std::ptrdiff_t at, std::size_t length, std::size_t room) {
  const std::ptrdiff_t end = std::min(at + signed_size(length), signed_size(room));
  const std::ptrdiff_t begin = std::max<std::ptrdiff_t>(at, 0);
  if (end <= begin) return {0, 0, 0};
  return {static_cast<std::size_t>(begin - at), static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)};
}

}  // namespace

void transform_image(int threads, const ImageTransform& t, const std::uint8_t* image, std::uint8_t* canvas) {
  Bytes scaled;
  if (t.from.height != t.scaled.height || t.from.width != t.scaled.width) {
    scaled = t.filter == ResizeFilter::kNearest ? scale_nearest(threads, t, image) : scale_weighted(threads, t, image);
    image = scaled.data();
  }
  const Overlap rows = overlap(t.top, t.scaled.height, t.canvas.height);
  const Overlap columns = overlap(t.left, t.scaled.width, t.canvas.width);
  const std::size_t stride = t.canvas.width * t.channels;
  for (std::size_t y = 0; y < t.canvas.height; ++y) {
    std::uint8_t* const line = canvas + y * stride;
    if (y < rows.to || y >= rows.to + rows.count || columns.count == 0) {
      std::fill_n(line, stride, t.fill);
      continue;
    }
    const std::uint8_t* const from = image + ((rows.from + y - rows.to) * t.scaled.width + columns.from) * t.channels;
    const std::size_t begin = columns.to * t.channels, count = columns.count * t.channels;
    std::fill_n(line, begin, t.fill);
    std::copy_n(from, count, line + begin);
    std::fill(line + begin + count, line + stride, t.fill);
  }
}

void bytes_to_planes(int threads, const std::uint8_t* bytes, std::size_t pixels, std::size_t channels,
                     const float* table, float* planes) {
  parallel_ranges(threads, pixels, ranges_for(threads, pixels * channels), [=](std::size_t first, std::size_t end) {
    for (std::size_t c = 0; c < channels; ++c) {
      const float* const numbers = table + c * 256;
      for (std::size_t i = first; i < end; ++i) planes[c * pixels + i] = numbers[bytes[i * channels + c]];
    }
  });
}

void bytes_to_numbers(int threads, const std::uint8_t* bytes, std::size_t pixels, std::size_t channels,
                      const float* table, float* numbers) {
  parallel_ranges(threads, pixels, ranges_for(threads, pixels * channels), [=](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i)
      for (std::size_t c = 0; c < channels; ++c) numbers[i * channels + c] = table[c * 256 + bytes[i * channels + c]];
  });
}

}  // namespace qarepvgg
