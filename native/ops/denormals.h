// Denormal weights: some processors take a hundred cycles for each product of one, and it adds nothing that counts.
#pragma once

#include <cmath>
#include <limits>

namespace qarepvgg {

// The weight as kernels get it; NaN and the sign of zero stay.
inline float without_denormal(float weight) {
  return std::abs(weight) < std::numeric_limits<float>::min() ? std::copysign(0.0f, weight) : weight;
}

}  // namespace qarepvgg
