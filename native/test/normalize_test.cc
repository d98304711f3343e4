// Normalised lines on every instruction set against a computation in double.
#include <cmath>
#include <vector>

#include "kernels/tensor_kernels.h"
#include "test/harness.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

std::vector<float> numbers(Rng& rng, std::size_t count, double from, double to) {
  std::vector<float> list(count);
  for (float& number : list) number = static_cast<float>(rng.uniform(from, to));
  return list;
}

TEST(normalized_lines) {
  test.repeat(500, [](Rng& rng) {
    const std::size_t count = rng.between(1, 150);
    const double centre = rng.uniform(-10, 10);
    const std::vector<float> x = numbers(rng, count, centre - 2, centre + 2);
    const std::vector<float> scale = numbers(rng, count, -2, 2), shift = numbers(rng, count, -2, 2);
    const bool are_single = rng.chance(0.5), has_scale = rng.chance(0.7), has_shift = rng.chance(0.7);
    constexpr float kEpsilon = 1e-3f;

    double mean = 0, variance = 0;
    for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(count);
    for (const float v : x) variance += std::pow(static_cast<double>(v) - mean, 2) / static_cast<double>(count);
    for (const KernelTable* kernels : float_kernels()) {
      std::vector<float> y(count);
      kernels->tensor->normalize({x.data(), count, kEpsilon, has_scale ? scale.data() : nullptr,
                                  has_shift ? shift.data() : nullptr, are_single, y.data()});
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = are_single ? 0 : i;
        double expected = (static_cast<double>(x[i]) - mean) / std::sqrt(variance + static_cast<double>(kEpsilon));
        if (has_scale) expected *= static_cast<double>(scale[at]);
        if (has_shift) expected += static_cast<double>(shift[at]);
        CHECK(std::fabs(static_cast<double>(y[i]) - expected) < 1e-4, kernels->isa, ", ", i, " of ", count, ": ",
              expected, ", received ", y[i]);
      }
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
