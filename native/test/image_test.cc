// Images scaled, placed and turned into numbers. test/vision/resize.test.ts checks that the bytes are Pillow's.
#include "ops/image.h"

#include <algorithm>
#include <vector>

#include "kernels/dispatch.h"
#include "test/guarded_memory.h"
#include "test/harness.h"
#include "test/random.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr ResizeFilter kFilters[]{ResizeFilter::kNearest, ResizeFilter::kBilinear, ResizeFilter::kBicubic};

ImageTransform random_transform(Rng& rng) {
  const auto size = [&] { return PixelSize{rng.between(1, 40), rng.between(1, 40)}; };
  const auto offset = [&] { return static_cast<std::ptrdiff_t>(rng.between(0, 60)) - 30; };
  const std::size_t channels[]{1, 2, 3, 4};
  return {size(), size(), size(), channels[rng.between(0, 3)], kFilters[rng.between(0, 2)], offset(), offset(), 114};
}

Bytes random_image(Rng& rng, std::size_t count) {
  Bytes image(count);
  for (std::uint8_t& byte : image) byte = static_cast<std::uint8_t>(rng.between(0, 255));
  return image;
}

TEST(image_any_threads) {
  test.repeat(300, [](Rng& rng) {
    ImageTransform t = random_transform(rng);
    if (rng.chance(0.1)) t.from = {300, 500};  // large enough for threads to share
    const Bytes image = random_image(rng, t.from.height * t.from.width * t.channels);
    Bytes alone(t.canvas.height * t.canvas.width * t.channels, 1), together(alone.size(), 2);
    transform_image(1, t, image.data(), alone.data());
    transform_image(3, t, image.data(), together.data());
    CHECK(alone == together, t.from.height, " x ", t.from.width);
  });
}

// All instruction sets compute the bytes of the portable kernels. Images end at a guard page.
TEST(image_any_isa) {
  test.repeat(300, [](Rng& rng) {
    ImageTransform t = random_transform(rng);
    if (rng.chance(0.5)) t.channels = 3;
    t.canvas = t.scaled;
    t.top = t.left = 0;
    const std::size_t count = t.from.height * t.from.width * t.channels;
    GuardedMemory memory(rng);
    auto* const image = reinterpret_cast<std::uint8_t*>(memory.bytes(count));
    const Bytes pixels = random_image(rng, count);
    std::copy(pixels.begin(), pixels.end(), image);
    Bytes expected;
    for (const KernelTable* kernels : available_kernels()) {
      const UseKernels use(*kernels);
      Bytes canvas(t.canvas.height * t.canvas.width * t.channels);
      transform_image(2, t, image, canvas.data());
      if (expected.empty()) expected = canvas;
      CHECK(canvas == expected, kernels->isa, ", ", t.from.height, " x ", t.from.width, " to ", t.scaled.height, " x ",
            t.scaled.width);
    }
  });
}

TEST(image_placed) {
  test.repeat(500, [](Rng& rng) {
    ImageTransform t = random_transform(rng);
    t.from = t.scaled;
    const Bytes image = random_image(rng, t.from.height * t.from.width * t.channels);
    Bytes canvas(t.canvas.height * t.canvas.width * t.channels, 1);
    transform_image(1, t, image.data(), canvas.data());
    bool same = true;
    for (std::size_t y = 0; y < t.canvas.height; ++y)
      for (std::size_t x = 0; x < t.canvas.width; ++x)
        for (std::size_t c = 0; c < t.channels; ++c) {
          const auto row = static_cast<std::ptrdiff_t>(y) - t.top, column = static_cast<std::ptrdiff_t>(x) - t.left;
          const bool inside = row >= 0 && row < static_cast<std::ptrdiff_t>(t.from.height) && column >= 0 &&
                              column < static_cast<std::ptrdiff_t>(t.from.width);
          const std::size_t from =
              inside ? static_cast<std::size_t>(row) * t.from.width + static_cast<std::size_t>(column) : 0;
          const std::uint8_t expected = inside ? image[from * t.channels + c] : t.fill;
          same = same && canvas[(y * t.canvas.width + x) * t.channels + c] == expected;
        }
    CHECK(same, t.top, ", ", t.left);
  });
}

// An image of one colour keeps it, whatever the weights.
TEST(image_even) {
  test.repeat(300, [](Rng& rng) {
    ImageTransform t = random_transform(rng);
    t.canvas = t.scaled;
    t.top = t.left = 0;
    const auto colour = static_cast<std::uint8_t>(rng.between(0, 255));
    const Bytes image(t.from.height * t.from.width * t.channels, colour);
    Bytes canvas(t.canvas.height * t.canvas.width * t.channels);
    transform_image(1, t, image.data(), canvas.data());
    CHECK(std::all_of(canvas.begin(), canvas.end(), [&](std::uint8_t byte) { return byte == colour; }), colour);
  });
}

TEST(image_numbers) {
  test.repeat(200, [](Rng& rng) {
    const std::size_t pixels = rng.chance(0.1) ? 100000 : rng.between(1, 50), channels = rng.between(1, 4);
    const Bytes bytes = random_image(rng, pixels * channels);
    std::vector<float> table(channels * 256), planes(bytes.size()), numbers(bytes.size());
    for (float& value : table) value = static_cast<float>(rng.uniform(-3, 3));
    bytes_to_planes(3, bytes.data(), pixels, channels, table.data(), planes.data());
    bytes_to_numbers(3, bytes.data(), pixels, channels, table.data(), numbers.data());
    bool same = true;
    for (std::size_t i = 0; i < pixels; ++i)
      for (std::size_t c = 0; c < channels; ++c) {
        const float expected = table[c * 256 + bytes[i * channels + c]];
        same = same && planes[c * pixels + i] == expected && numbers[i * channels + c] == expected;
      }
    CHECK(same, pixels, " pixels");
  });
}

}  // namespace
}  // namespace qarepvgg::test
