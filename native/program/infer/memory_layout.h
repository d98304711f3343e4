// Where the values of a plan lie in the memory of a member of the team: values that are never alive together share it.
#pragma once

#include <cstddef>
#include <vector>

#include "program/infer/graph_layout.h"

namespace qarepvgg {

// A value lives from the stage that writes it to the last one that reads it, both included.
struct Life {
  std::size_t first = kNoBuffer, last = 0;
  bool batched = false;  // some of its stages take several images together: there is room for all of them

  bool is_lived() const { return first != kNoBuffer; }
};

struct MemoryLayout {
  struct Place {
    std::size_t offset = 0, stride = 0;  // bytes, the latter from one image to the next; 0: room for one
  };
  // A map whose memory served other values since its halo was written.
  struct Clear {
    std::size_t stage;  // that writes the map; its halo is to be written as well
    BufferId map;
  };

  std::size_t bytes = 0;
  std::vector<Place> places;  // by buffer
  std::vector<Clear> clears;
};

// `lives`: by buffer. `together`: most images that stages take together.
MemoryLayout lay_out_memory(const std::vector<Buffer>& buffers, const std::vector<Life>& lives, std::size_t together);

// The map's halo gets the value zero: that of floats, or the zero point.
void clear_halo(const ValueType& type, std::byte* map);

}  // namespace qarepvgg
