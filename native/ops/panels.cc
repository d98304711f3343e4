#include "ops/panels.h"

#include <algorithm>

namespace qarepvgg {

void Panels::spread(const float* numbers, std::size_t groups, float* out) const {
  for (std::size_t group = 0; group < groups; ++group, numbers += channels, out += padded()) {
    std::copy_n(numbers, channels, out);
    std::fill(out + channels, out + padded(), 0.0f);
  }
}

Panels choose_panels(std::size_t channels, std::size_t items, int vector_lanes, const int (&max_rows)[kMaxTileVectors],
                     int preferred) {
  const std::size_t lanes = static_cast<std::size_t>(vector_lanes);
  Panels best{channels, 0, lanes};
  double best_cost = 0;
  // Estimates the cycles of one step of a tile: two FMAs and two loads start per cycle, and an FMA has a latency of
  // four.
  for (int vectors : {preferred, 5 - preferred, 1}) {
    const Panels panels{channels, vectors, lanes};
    const auto cycles = [&](std::size_t panel) {
      const int nv = panels.panel_vectors(panel);
      const double tiles = static_cast<double>(ceil_div(items, static_cast<std::size_t>(max_rows[nv - 1])));
      const double rows = static_cast<double>(items) / tiles;
      return tiles * std::max({rows * nv / 2, (rows + nv) / 2, 4.0});
    };
    const std::size_t last = panels.count() - 1;
    const double cost = cycles(0) * static_cast<double>(last) + cycles(last);
    if (best.vectors == 0 || cost < best_cost) {
      best = panels;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace qarepvgg
