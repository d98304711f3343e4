// Random convolutions, by family, for the sweeps of all three directions.
#pragma once

#include <functional>
#include <ostream>
#include <vector>

#include "ops/conv_shape.h"
#include "reference/convolution.h"
#include "test/harness.h"
#include "test/random.h"
#include "test/tensors.h"

namespace qarepvgg {
std::ostream& operator<<(std::ostream& out, const ConvShape& shape);
}

namespace qarepvgg::test {

struct ConvFamily {
  const char* name;
  std::function<ConvShape(Rng&)> draw;
};
const std::vector<ConvFamily>& conv_families();

// Any valid convolution of a random family.
ConvShape random_convolution(Rng& rng);

// For Winograd: images from one pixel to several blocks of tiles, with every kind of overhang. Most need at most `macs`
// multiplications.
ConvShape random_winograd_shape(Rng& rng, double macs, std::size_t stride = 1);

// For a first layer: any kernel on one image of few channels.
ConvShape random_stem_shape(Rng& rng, std::size_t max_channels, std::size_t dilation);

reference::Convolution reference_of(const ConvShape& shape);
inline reference::Dims input_dims(const ConvShape& s) { return {s.n, s.in_c, s.in_h, s.in_w}; }
inline reference::Dims output_dims(const ConvShape& s) { return {s.n, s.out_c, s.out_h(), s.out_w()}; }

// Bounds of an activation: those of a ReLU, or others.
Clamp random_clamp(Rng& rng);

using ConvCase = void (*)(Rng&, const ConvShape&, Data);

// Registers three kinds of tests. <direction>_<family> for every family: 2,000 random shapes with whole numbers and 500
// with reals. <direction>_specials: random shapes with some NaN, infinities and -0, which must stay in their groups.
// <direction>_tails: every number of output channels up to two vectors plus one, with every width up to two tiles plus
// one.
bool register_convolution_sweep(const char* direction, ConvCase body);

}  // namespace qarepvgg::test
