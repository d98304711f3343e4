// How the work of a step is cut for a team.
#pragma once

#include <cstddef>

#include "ops/feature_map.h"

namespace qarepvgg {

// A step for a team to share: independent items.
struct Share {
  std::size_t items, members;
  double size;  // estimate, in pieces of about 50 microseconds
};
// How many pieces to cut the items into. Neighbours stay together, and all pieces but one have the same number of
// items.
std::size_t pieces_of(const Share& share);
// Size of a step that reads so many bytes from memory, or a map.
double bytes_size(std::size_t bytes);
double map_size(const MapShape& shape);

}  // namespace qarepvgg
