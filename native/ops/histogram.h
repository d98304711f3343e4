// What calibration counts of activations.
#pragma once

#include <cstddef>

namespace qarepvgg {

struct Extent {
  float low, high;
};

// The smallest and the largest of `count` values, 1 or more; both NaN where one of them is not finite.
Extent extent_of(const float* values, std::size_t count);

// Adds to counts[0, bins) the values from zero on, and to counts[bins, 2 * bins) those below, by their size: |value| *
// scale, rounded down, is the number of the bin, and the last bin takes what lies beyond it. Values are finite.
void count_values(const float* values, std::size_t count, double scale, double* counts, std::size_t bins);

}  // namespace qarepvgg
