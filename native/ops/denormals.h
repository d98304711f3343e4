// Denormal weights: some processors take a hundred cycles to multiply by one, and the product is negligible.
#pragma once

#include <cmath>
#include <limits>

namespace qarepvgg {

// Returns zero for a denormal weight. NaN and the sign of zero stay.
inline float without_denormal(float weight) {
  return std::abs(weight) < std::numeric_limits<float>::min() ? std::copysign(0.0f, weight) : weight;
}

}  // namespace qarepvgg
