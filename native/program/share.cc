#include "program/share.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"

namespace qarepvgg {

// For a smaller step, waking a second member takes longer than the step.
static constexpr double kWorthSharing = 1.0 / 8;

std::size_t pieces_of(const Share& share) {
  if (share.members <= 1 || share.items == 0) return 1;
  // A small step gets one piece for each member; a very small step gets only one piece.
  if (share.size < kWorthSharing) return 1;
  const std::size_t most = std::min(share.items, kMaxPieces);
  const std::size_t wanted = static_cast<std::size_t>(std::min(std::ceil(share.size), static_cast<double>(most)));
  // A multiple of the number of members: of three pieces, one of two members would get two.
  const std::size_t pieces = std::min(round_up(wanted, share.members), most);
  const std::size_t even = ceil_div(share.items, ceil_div(share.items, pieces));
  return even % share.members == 0 ? even : pieces;
}

double bytes_size(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double map_size(const MapShape& shape) {
  return bytes_size(shape.n * shape.h * shape.w * shape.pixel() * sizeof(float));
}

}  // namespace qarepvgg
