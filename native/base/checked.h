// Size arithmetic that throws ERR_SIZE_OVERFLOW instead of wrapping.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <limits>

#include "base/error.h"

namespace qarepvgg {

// Sizes stay below 2^62, so that each fits a ptrdiff_t even after adding an offset.
inline constexpr std::size_t kMaxSize = std::numeric_limits<std::size_t>::max() >> 2;

inline std::size_t checked_mul(std::size_t a, std::size_t b) {
  // Factors below 2^31 need no division, which would take much of the time of a small loop.
  const bool is_small = (a | b) >> 31 == 0;
  if (!is_small && a != 0 && b > kMaxSize / a)
    fail(code::kSizeOverflow, "expected a size below 2^62, received ", a, " x ", b);
  return a * b;
}

inline std::size_t checked_add(std::size_t a, std::size_t b) {
  if (a > kMaxSize || b > kMaxSize - a) fail(code::kSizeOverflow, "expected a size below 2^62, received ", a, " + ", b);
  return a + b;
}

inline std::size_t checked_product(std::initializer_list<std::size_t> factors) {
  std::size_t product = 1;
  for (std::size_t factor : factors) product = checked_mul(product, factor);
  return product;
}

inline std::size_t round_up(std::size_t value, std::size_t multiple) {
  return checked_add(value, multiple - 1) / multiple * multiple;
}

// For pointer arithmetic, in which a step may be negative.
inline std::ptrdiff_t signed_size(std::size_t size) { return static_cast<std::ptrdiff_t>(size); }

inline std::size_t ceil_div(std::size_t value, std::size_t divisor) { return (value + divisor - 1) / divisor; }

// First item and length of tile number `tile` if `count` items are split as evenly as possible into `tiles`.
struct Tile {
  std::size_t first, length;
};
inline Tile even_tile(std::size_t count, std::size_t tiles, std::size_t tile) {
  const std::size_t first = count * tile / tiles;
  return {first, count * (tile + 1) / tiles - first};
}

// All such tiles, the longer ones first. Taking one does not divide.
struct EvenTiles {
  EvenTiles(std::size_t items, std::size_t tiles) : count(tiles), least(items / tiles), longer(items % tiles) {}
  Tile operator[](std::size_t tile) const {
    return {tile * least + std::min(tile, longer), least + (tile < longer ? 1 : 0)};
  }

  std::size_t count, least, longer;
};

}  // namespace qarepvgg
