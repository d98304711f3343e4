// How packed weights are cut, so that a tile keeps the sums of some pixels and a panel of output channels in registers.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/checked.h"
#include "kernels/kernel_table.h"

namespace qarepvgg {

// How the output channels of a group are cut into panels of whole vectors. The last panel may be narrower.
struct Panels {
  std::size_t channels;  // per group
  int vectors;           // of a full panel
  std::size_t lanes;

  std::size_t width() const { return static_cast<std::size_t>(vectors) * lanes; }
  std::size_t count() const { return ceil_div(channels, width()); }
  std::size_t valid(std::size_t panel) const { return std::min(width(), channels - panel * width()); }
  int panel_vectors(std::size_t panel) const { return static_cast<int>(ceil_div(valid(panel), lanes)); }
  std::size_t panel_width(std::size_t panel) const { return round_up(valid(panel), lanes); }
  // Lanes of all panels together: the padded number of channels of a group.
  std::size_t padded() const { return round_up(channels, lanes); }
  // Copies a number for each output channel of all groups to its lane. Lanes without a channel become zero.
  void spread(const float* numbers, std::size_t groups, float* out) const;
};

// Chooses the panels with the lowest estimated cost for tiles over `items` rows (pixels or input channels). max_rows:
// most rows of a tile of 1, 2 and 3 vectors. Ties go to `preferred` vectors.
Panels choose_panels(std::size_t channels, std::size_t items, int lanes, const int (&max_rows)[kMaxTileVectors],
                     int preferred);
// kernels: a KernelTable or IntegerKernels.
template <class Kernels>
Panels choose_panels(std::size_t channels, std::size_t items, const Kernels& kernels, int preferred = 2) {
  return choose_panels(channels, items, kernels.lanes, kernels.max_rows, preferred);
}

}  // namespace qarepvgg
