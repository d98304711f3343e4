#include "ops/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace qarepvgg {
namespace {

// So many independent chains of comparisons run side by side.
constexpr std::size_t kLanes = 16;

}  // namespace

Extent extent_of(const float* values, std::size_t count) {
  float low[kLanes], high[kLanes], check[kLanes];
  std::fill_n(low, kLanes, std::numeric_limits<float>::infinity());
  std::fill_n(high, kLanes, -std::numeric_limits<float>::infinity());
  std::fill_n(check, kLanes, 0.0f);
  const auto take = [&](std::size_t lane, float value) {
    low[lane] = value < low[lane] ? value : low[lane];
    high[lane] = value > high[lane] ? value : high[lane];
    // 0 for finite values, NaN for others.
    check[lane] += value * 0.0f;
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) take(lane, values[i + lane]);
  for (; i < count; ++i) take(0, values[i]);
  if (std::any_of(check, check + kLanes, [](float sum) { return std::isnan(sum); })) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    return {nan, nan};
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

void count_values(const float* values, std::size_t count, double scale, double* counts, std::size_t bins) {
  // Neighbours, above all zeros, often fall into the same bin, and an addition to a bin has to wait for the one before.
  // So there are several sets of counts, used in turns.
  constexpr std::size_t kTurns = 2;
  std::vector<std::uint32_t> turns(kTurns * 2 * bins);
  const double last = static_cast<double>(bins - 1);
  // Small enough that no count can overflow.
  constexpr std::size_t kChunk = std::size_t{1} << 31;
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t end = begin + std::min(kChunk, count - begin);
    for (std::size_t i = begin; i < end; ++i) {
      const double value = static_cast<double>(values[i]) * scale;
      const std::size_t bin = static_cast<std::size_t>(static_cast<std::int64_t>(std::min(std::abs(value), last)));
      ++turns[((i % kTurns) * 2 + (value < 0)) * bins + bin];
    }
    for (std::size_t i = 0; i < turns.size(); ++i) counts[i % (2 * bins)] += turns[i];
    std::fill(turns.begin(), turns.end(), 0u);
  }
}

}  // namespace qarepvgg
