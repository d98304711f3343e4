#include "test/tensors.h"

#include <algorithm>
#include <cmath>

namespace qarepvgg::test {

reference::Values random_values(Rng& rng, std::size_t count, Data data) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kSpecialValues[]{std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity, -0.0};
  reference::Values values(count);
  for (double& value : values)
    value = data == Data::kReals ? static_cast<double>(static_cast<float>(rng.uniform(-1, 1))) : rng.integer(8);
  if (data == Data::kSpecials && count > 0)
    for (std::size_t i = rng.between(1, 3); i > 0; --i) values[rng.between(0, count - 1)] = rng.pick(kSpecialValues);
  return values;
}

reference::Tensor random_tensor(Rng& rng, const reference::Dims& dims, Data data) {
  return {dims, random_values(rng, dims.elements(), data)};
}

std::size_t random_extent(Rng& rng, std::size_t max) {
  return rng.between(1, rng.chance(0.5) ? std::min<std::size_t>(max, 8) : max);
}

std::size_t random_channels(Rng& rng) { return rng.chance(0.75) ? random_extent(rng, 33) : rng.between(1, 130); }

reference::Dims small_dims(Rng& rng, std::size_t side) {
  for (;;) {
    const reference::Dims dims{rng.between(1, 3), random_channels(rng), random_extent(rng, side),
                               random_extent(rng, side)};
    if (dims.elements() <= 12000) return dims;
  }
}

double largest(const reference::Values& values) {
  double magnitude = 0;
  for (double value : values) magnitude = std::max(magnitude, std::abs(value));
  return magnitude;
}

double relative_l2(const reference::Values& received, const reference::Values& expected) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error += (received[i] - expected[i]) * (received[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return error == 0 ? 0 : std::sqrt(error / norm);
}

double sum_tolerance(Data data, double largest_term, std::size_t terms) {
  if (data != Data::kReals) return 0;
  return largest_term * (static_cast<double>(terms) * kEpsilon + kEpsilon) + kEpsilon;
}

std::size_t first_difference(const reference::Values& received, const reference::Values& expected, double tolerance) {
  const auto same = [tolerance](double r, double e) {
    if (std::isnan(r) || std::isnan(e)) return std::isnan(r) && std::isnan(e);
    if (r == e) return tolerance > 0 || std::signbit(r) == std::signbit(e);
    return std::abs(r - e) <= tolerance;
  };
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!same(received[i], expected[i])) return i;
  return expected.size();
}

bool zero_border(const FeatureMap& map) {
  const MapShape& s = map.shape;
  const auto is_zero = [](float value) { return value == 0.0f; };
  for (std::size_t n = 0; n < s.n; ++n)
    for (std::size_t row = 0; row < s.h + 2 * s.halo; ++row)
      for (std::size_t column = 0; column < s.w + 2 * s.halo; ++column) {
        const float* pixel = map.data + n * s.image() + row * s.row() + column * s.pixel();
        const auto inside = [&](std::size_t at, std::size_t size) { return at >= s.halo && at < size + s.halo; };
        const std::size_t used = inside(row, s.h) && inside(column, s.w) ? s.c : 0;
        if (!std::all_of(pixel + used, pixel + s.pixel(), is_zero)) return false;
      }
  return true;
}

}  // namespace qarepvgg::test

namespace qarepvgg {

std::ostream& operator<<(std::ostream& out, const MapShape& s) {
  return out << "map [" << s.n << ", " << s.c << ", " << s.h << ", " << s.w << "] halo " << s.halo;
}

std::ostream& reference::operator<<(std::ostream& out, const Dims& d) {
  return out << "[" << d.n << ", " << d.c << ", " << d.h << ", " << d.w << "]";
}

}  // namespace qarepvgg
