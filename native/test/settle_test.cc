// Floats at any byte against a copy of them.
#include "ops/settle.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "test/harness.h"
#include "test/random.h"

namespace qarepvgg::test {
namespace {

TEST(settle_floats) {
  test.repeat(1000, [](Rng& rng) {
    std::vector<float> values(rng.between(0, 10000));
    for (float& value : values) value = static_cast<float>(rng.uniform(-3, 3));
    const bool odd = !values.empty() && rng.chance(0.5);
    const float infinity = std::numeric_limits<float>::infinity();
    const float kinds[] = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
    if (odd) values[rng.between(0, values.size() - 1)] = kinds[rng.between(0, 2)];
    std::vector<float> memory(values.size() + 2, 7.0f);
    std::byte* const from = reinterpret_cast<std::byte*>(memory.data()) + rng.between(0, 7);
    const std::size_t bytes = values.size() * sizeof(float);
    if (bytes > 0) std::memcpy(from, values.data(), bytes);
    CHECK(settle(from, values.size(), memory.data()) == !odd, values.size(), " floats");
    CHECK(bytes == 0 || std::memcmp(memory.data(), values.data(), bytes) == 0, values.size(), " floats");
  });
}

}  // namespace
}  // namespace qarepvgg::test
