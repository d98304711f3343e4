// Random numbers that are the same everywhere for the same seed, unlike the standard library's distributions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg::test {

// SplitMix64 (Steele, Lea, Flood 2014).
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Includes both ends.
  std::size_t between(std::size_t low, std::size_t high) { return low + next() % (high - low + 1); }
  // A whole number, -limit..limit.
  int integer(int limit) { return static_cast<int>(next() % static_cast<std::uint64_t>(2 * limit + 1)) - limit; }
  double uniform(double low, double high) { return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53; }
  bool chance(double probability) { return uniform(0, 1) < probability; }
  template <class T, std::size_t N>
  T pick(const T (&choices)[N]) {
    return choices[between(0, N - 1)];
  }

 private:
  std::uint64_t state_;
};

}  // namespace qarepvgg::test
