#include "ops/pooling.h"

#include <algorithm>

namespace qarepvgg {

// Of one item: a multiple of 16.
static constexpr std::size_t kAveragedChannels = 64;

void global_average(const FeatureMap& x, const FeatureMap& out, const KernelTable& kernels, const Tile& images) {
  const MapShape& shape = x.shape;
  const Region region{shape.h, shape.w, shape.pixel()};
  const float pixels = static_cast<float>(shape.h * shape.w);
  for (std::size_t image = images.first; image < images.first + images.length; ++image) {
    float* mean = out.at(image, 0, 0);
    kernels.sums(region, {x.at(image, 0, 0), static_cast<std::ptrdiff_t>(shape.row())}, mean);
    for (std::size_t c = 0; c < shape.c; ++c) mean[c] /= pixels;
  }
}

std::size_t integer_average_items(const MapShape& x) { return x.n * ceil_div(x.pixel(), kAveragedChannels); }

void integer_global_average(const ByteMap& x, const Quantization& input, const ByteMap& out, const Quantization& output,
                            const IntegerKernels& kernels, const Tile& items) {
  const MapShape& shape = x.shape;
  const std::size_t pixels = shape.h * shape.w, parts = ceil_div(shape.pixel(), kAveragedChannels);
  const std::int32_t zero = input.zero_point() * static_cast<std::int32_t>(pixels);
  const float scale = input.scale() / (output.scale() * static_cast<float>(pixels));
  const SumStore store(input, output);
  std::int32_t sums[kAveragedChannels];
  for (std::size_t item = items.first; item < items.first + items.length; ++item) {
    const std::size_t image = item / parts, first = item % parts * kAveragedChannels;
    const std::size_t lanes = std::min(kAveragedChannels, shape.pixel() - first);
    kernels.channel_sums(x.at(image, 0, 0) + first * x.element, shape.h, shape.w, signed_size(x.row()),
                         signed_size(x.pixel()), lanes, sums);
    std::byte* mean = out.at(image, 0, 0) + first * out.element;
    // Padding lanes hold the zero point, whose mean is the other one.
    for (std::size_t c = 0; c < lanes; ++c, mean += out.element)
      fill_elements(mean, 1, out.element, store.requantize(sums[c] - zero, scale));
  }
}

void global_average_backward(const FeatureMap& grad, bool accumulate, const FeatureMap& grad_x, int threads) {
  const MapShape& shape = grad_x.shape;
  const float pixels = static_cast<float>(shape.h * shape.w);
  parallel_for(threads, shape.n * shape.h, [&](std::size_t row) {
    const float* source = grad.at(row / shape.h, 0, 0);
    float* target = grad_x.at(row / shape.h, static_cast<std::ptrdiff_t>(row % shape.h), 0);
    for (std::size_t x = 0; x < shape.w; ++x, target += shape.pixel())
      for (std::size_t c = 0; c < shape.c; ++c) target[c] = source[c] / pixels + (accumulate ? target[c] : 0.0f);
  });
}

}  // namespace qarepvgg
