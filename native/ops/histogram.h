// Range and histogram of activations, for calibration.
#pragma once

#include <cstddef>

namespace qarepvgg {

struct Extent {
  float low, high;
};

// The smallest and the largest of `count` values, at least 1; both are NaN if any value is not finite.
Extent extent_of(const float* values, std::size_t count);

// Counts values, which must be finite: those from zero up in counts[0, bins), those below in counts[bins, 2 * bins).
// The bin of a value is |value| * scale, rounded down, and at most the last one.
void count_values(const float* values, std::size_t count, double scale, double* counts, std::size_t bins);

}  // namespace qarepvgg
