#include "ops/settle.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace qarepvgg {
namespace {

// Checked while they are in the first-level cache.
constexpr std::size_t kChunk = 4096;

bool all_finite(const float* values, std::size_t count) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t odd = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    odd |= (bits & kExponent) == kExponent ? 1 : 0;
  }
  return odd == 0;
}

}  // namespace

bool settle(const std::byte* from, std::size_t count, float* to) {
  bool finite = true;
  for (std::size_t first = 0; first < count; first += kChunk) {
    const std::size_t length = std::min(kChunk, count - first);
    std::memmove(to + first, from + first * sizeof(float), length * sizeof(float));
    finite &= all_finite(to + first, length);
  }
  return finite;
}

}  // namespace qarepvgg
