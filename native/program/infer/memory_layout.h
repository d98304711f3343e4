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
  // A map whose memory served other values since its halo and its padding lanes were written.
  struct Clear {
    std::size_t stage;  // that writes it, and must find them restored
    BufferId map;
  };

  std::size_t bytes = 0;
  std::vector<Place> places;  // by buffer
  std::vector<Clear> clears;
};

// `lives`: by buffer. `together`: most images that stages take together.
MemoryLayout lay_out_memory(const std::vector<Buffer>& buffers, const std::vector<Life>& lives, std::size_t together);

// Halo and padding lanes of the map get the value zero: that of floats, or the zero point.
void restore_zeros(const ValueType& type, std::byte* map);
// Bytes that restore_zeros writes.
std::size_t restored_bytes(const ValueType& type);

}  // namespace qarepvgg
