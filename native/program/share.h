// How the work of a step is cut for a team.
#pragma once

#include <cstddef>

#include "ops/feature_map.h"

namespace qarepvgg {

// How a team shares a step: as items that do not depend on each other.
struct Share {
  std::size_t items, members;
  double size;  // in pieces of some 50 microseconds, about
};
// Pieces to make of the items: neighbours stay together, and all have as many but for one.
std::size_t pieces_of(const Share& share);
// Size of reading so many bytes from memory, or a map.
double bytes_size(std::size_t bytes);
double map_size(const MapShape& shape);

}  // namespace qarepvgg
