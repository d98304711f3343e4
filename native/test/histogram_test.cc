// Histograms against values counted one by one.
#include "ops/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "test/harness.h"
#include "test/random.h"

namespace qarepvgg::test {
namespace {

std::vector<float> random_values(Rng& rng) {
  std::vector<float> values(rng.between(1, 200));
  for (float& value : values) value = rng.chance(0.4) ? 0.0f : static_cast<float>(rng.uniform(-3, 3));
  if (rng.chance(0.5))
    std::transform(values.begin(), values.end(), values.begin(), [](float v) { return std::abs(v); });
  return values;
}

TEST(histogram_extent) {
  test.repeat(2000, [](Rng& rng) {
    std::vector<float> values = random_values(rng);
    Extent extent = extent_of(values.data(), values.size());
    CHECK(extent.low == *std::min_element(values.begin(), values.end()), values.size());
    CHECK(extent.high == *std::max_element(values.begin(), values.end()), values.size());
    const float infinity = std::numeric_limits<float>::infinity();
    const float odd[] = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
    values[rng.between(0, values.size() - 1)] = odd[rng.between(0, 2)];
    extent = extent_of(values.data(), values.size());
    CHECK(std::isnan(extent.low) && std::isnan(extent.high), values.size());
  });
}

TEST(histogram_counts) {
  test.repeat(2000, [](Rng& rng) {
    const std::vector<float> values = random_values(rng);
    const std::size_t bins = rng.between(1, 40);
    const double scale = static_cast<double>(rng.between(1, 20));
    std::vector<double> counts(2 * bins, 5.0), expected = counts;
    count_values(values.data(), values.size(), scale, counts.data(), bins);
    for (const float value : values) {
      const double size = std::floor(std::abs(static_cast<double>(value)) * scale);
      const std::size_t bin = std::min(static_cast<std::size_t>(size), bins - 1);
      expected[(value < 0 ? bins : 0) + bin] += 1;
    }
    CHECK(counts == expected, values.size(), " values, ", bins, " bins");
  });
}

}  // namespace
}  // namespace qarepvgg::test
