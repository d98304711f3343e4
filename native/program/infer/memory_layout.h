// Places the values of a plan in the memory of a member of the team. Values that are never alive at the same time share
// memory.
#pragma once

#include <cstddef>
#include <vector>

#include "program/infer/graph_layout.h"

namespace qarepvgg {

// A value is alive from the stage that writes it to the last one that reads it, including both.
struct Life {
  std::size_t first = kNoBuffer, last = 0;
  bool batched = false;  // some of its stages take several images together, so there must be room for all of them

  bool is_lived() const { return first != kNoBuffer; }
};

struct MemoryLayout {
  struct Place {
    std::size_t offset = 0, stride = 0;  // bytes; stride: from one image to the next, 0 if there is room for one only
  };
  // A map whose memory other values have used since its halo was written.
  struct Clear {
    std::size_t stage;  // the stage that writes the map, and must write its halo, too
    BufferId map;
  };

  std::size_t bytes = 0;
  std::vector<Place> places;  // by buffer
  std::vector<Clear> clears;
};

// `lives`: by buffer. `together`: at most how many images stages take together.
MemoryLayout lay_out_memory(const std::vector<Buffer>& buffers, const std::vector<Life>& lives, std::size_t together);

// Fills the map's halo with what represents zero: 0 for floats, the zero point for integers.
void clear_halo(const ValueType& type, std::byte* map);

}  // namespace qarepvgg
