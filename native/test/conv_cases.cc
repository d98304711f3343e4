#include "test/conv_cases.h"

#include <string>

namespace qarepvgg {

std::ostream& operator<<(std::ostream& out, const ConvShape& s) {
  return out << "convolution of [" << s.n << ", " << s.in_c << ", " << s.in_h << ", " << s.in_w << "] to " << s.out_c
             << " channels, kernel " << s.kernel << ", stride " << s.stride << ", padding " << s.padding
             << ", dilation " << s.dilation << ", groups " << s.groups;
}

}  // namespace qarepvgg

namespace qarepvgg::test {
namespace {

constexpr double kMaxMacs = 120e3;
constexpr std::size_t kMaxExtent = 2 * kMaxTileRows + 1;

// Channel counts and groups.
struct Channels {
  std::size_t in, out, groups;
};

Channels dense(Rng& rng) { return {random_channels(rng), random_channels(rng), 1}; }

Channels grouped(Rng& rng) {
  const std::size_t groups = rng.between(2, 6);
  return {groups * random_extent(rng, 20), groups * random_extent(rng, 20), groups};
}

Channels depthwise(Rng& rng) {
  const std::size_t groups = random_channels(rng);
  return {groups, groups * rng.between(1, 2), groups};
}

// Draws until the convolution is valid and small.
template <class DrawChannels>
ConvShape draw(Rng& rng, const DrawChannels& channels, std::size_t kernel, std::size_t stride, std::size_t dilation) {
  for (;;) {
    const Channels c = channels(rng);
    ConvShape shape{rng.between(1, 3),
                    c.in,
                    random_extent(rng, kMaxExtent),
                    random_extent(rng, kMaxExtent),
                    c.out,
                    kernel,
                    stride,
                    0,
                    dilation,
                    c.groups};
    shape.padding = rng.chance(0.7) ? shape.reach() / 2 : rng.between(0, shape.reach() + 1);
    if (shape.in_h + 2 * shape.padding <= shape.reach() || shape.in_w + 2 * shape.padding <= shape.reach()) continue;
    if (shape.macs() <= kMaxMacs) return shape;
  }
}

// Images of one pixel: with stride 1 and no padding, their convolutions are matrix products.
ConvShape one_pixel(ConvShape shape) {
  shape.in_h = shape.in_w = 1;
  return shape;
}

ConvShape tail_shape(std::size_t out_channels, std::size_t width) {
  return {1, 3, 2, width, out_channels, 3, 1, 1, 1, 1};
}

}  // namespace

const std::vector<ConvFamily>& conv_families() {
  static const std::vector<ConvFamily> families{
      {"3x3", [](Rng& rng) { return draw(rng, dense, 3, 1, 1); }},
      {"3x3_stride_2", [](Rng& rng) { return draw(rng, dense, 3, 2, 1); }},
      {"1x1", [](Rng& rng) { return draw(rng, dense, 1, 1, 1); }},
      {"1x1_stride_2", [](Rng& rng) { return draw(rng, dense, 1, 2, 1); }},
      {"1x1_of_one_pixel", [](Rng& rng) { return one_pixel(draw(rng, dense, 1, rng.between(1, 2), 1)); }},
      {"dilated", [](Rng& rng) { return draw(rng, dense, 3, rng.between(1, 2), rng.between(2, 4)); }},
      {"grouped", [](Rng& rng) { return draw(rng, grouped, rng.chance(0.8) ? 3 : 1, rng.between(1, 2), 1); }},
      {"depthwise", [](Rng& rng) { return draw(rng, depthwise, rng.chance(0.8) ? 3 : 1, rng.between(1, 2), 1); }},
      {"any_kernel",
       [](Rng& rng) { return draw(rng, dense, rng.between(1, 7), rng.between(1, 4), rng.between(1, 3)); }},
  };
  return families;
}

ConvShape random_convolution(Rng& rng) { return conv_families()[rng.between(0, conv_families().size() - 1)].draw(rng); }

ConvShape random_winograd_shape(Rng& rng, double macs, std::size_t stride) {
  for (;;) {
    const std::size_t groups = rng.chance(0.7) ? 1 : rng.between(2, 3);
    const std::size_t side = stride * (rng.chance(0.1) ? 41 : 13);
    const ConvShape shape{rng.between(1, rng.chance(0.1) ? 40 : 4),
                          groups * 16 * rng.between(1, 4),
                          rng.between(1, side),
                          rng.between(1, side),
                          groups * 16 * rng.between(1, 5),
                          3,
                          stride,
                          1,
                          1,
                          groups};
    if (shape.macs() <= (side == stride * 13 ? macs : 2e6)) return shape;
  }
}

ConvShape random_stem_shape(Rng& rng, std::size_t max_channels, std::size_t dilation) {
  for (;;) {
    ConvShape shape{1,
                    rng.between(1, max_channels),
                    random_extent(rng, 40),
                    random_extent(rng, 40),
                    random_channels(rng),
                    rng.between(1, rng.chance(0.8) ? 7 : 16),
                    rng.between(1, 4),
                    0,
                    dilation,
                    1};
    shape.padding = rng.chance(0.7) ? shape.reach() / 2 : rng.between(0, shape.reach() + 2);
    if (shape.in_h + 2 * shape.padding <= shape.reach() || shape.in_w + 2 * shape.padding <= shape.reach()) continue;
    if (shape.macs() <= 120e3) return shape;
  }
}

Clamp random_clamp(Rng& rng) {
  const Clamp clamps[]{kReluClamp, {0, 6}, {0, 1}, {-1, 1}, {-0.5f, kReluClamp.high}, {-kReluClamp.high, 0}};
  return rng.pick(clamps);
}

reference::Convolution reference_of(const ConvShape& s) {
  return {s.out_c, s.kernel, s.stride, s.padding, s.dilation, s.groups};
}

bool register_convolution_sweep(const char* direction, ConvCase body) {
  for (const ConvFamily& family : conv_families())
    register_test(std::string(direction) + "_" + family.name, [&family, body](Test& test) {
      test.repeat(2000, [&](Rng& rng) { body(rng, family.draw(rng), Data::kIntegers); });
      test.repeat(500, [&](Rng& rng) { body(rng, family.draw(rng), Data::kReals); });
    });
  register_test(std::string(direction) + "_specials", [body](Test& test) {
    test.repeat(2000, [&](Rng& rng) { body(rng, random_convolution(rng), Data::kSpecials); });
  });
  return register_test(std::string(direction) + "_tails", [body](Test& test) {
    std::size_t out_channels = 0;
    test.repeat(2 * kAlignedFloats + 1, [&](Rng& rng) {
      ++out_channels;
      for (std::size_t width = 1; width <= kMaxExtent; ++width)
        body(rng, tail_shape(out_channels, width), Data::kIntegers);
    });
  });
}

}  // namespace qarepvgg::test
