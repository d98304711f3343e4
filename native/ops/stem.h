// The first convolution of a network, which has few input channels. It reads an image as it comes from JavaScript: it
// copies a few padded rows at a time into the first-level cache (ops/stem_lines.h), where a row of the kernel becomes
// one tap, as deep as the row is long.
#pragma once

#include <cstddef>

#include "ops/conv_taps.h"
#include "ops/panels.h"
#include "ops/stem_lines.h"

namespace qarepvgg {

template <class Lines>
class Stem {
 public:
  using Numbers = typename Lines::Numbers;
  using Map = typename Numbers::Map;
  using Output = typename Numbers::Output;
  using Weight = typename Numbers::Weight;
  using Packed = typename Numbers::Packed;

  // At most kMaxImageChannels channels in one group, and at most ConvTaps::kMaxTaps taps. Weights packed by one plan
  // fit any other plan with the same channels and panels.
  Stem(const Lines& lines, const Window& window, const Panels& panels);
  static Panels choose(const Lines& lines, const Window& window, std::size_t out_c);

  const Panels& panels() const { return panels_; }
  std::int32_t offset() const { return Numbers::offset(lines_.kernels()); }  // subtracted from integers in their sums
  std::size_t weight_bytes() const;
  // weight: [out][in][kernel y][kernel x].
  void pack_weights(const Weight* weight, Packed* packed, int threads) const;

  // Scratch of one member of the team.
  std::size_t scratch_bytes() const;
  // The work as independent items, output rows, of which run_items runs some. `first`: the scratch holds nothing of
  // this run yet.
  std::size_t items() const { return lines_.images().n * out_rows(); }
  void run_items(const Image& image, const Packed* weights, const Output& output, const Map& out, std::byte* scratch,
                 const Tile& items, bool first) const;

 private:
  std::size_t out_rows() const { return window_.y.positions(lines_.images().h); }
  // Copies padded input row number `row`, with one line for each plane.
  void copy_row(const Image& image, const std::byte* tables, std::size_t n, std::size_t row, Packed* lines) const;
  void run_row(const Packed* lines, const std::ptrdiff_t* taps, const Packed* weights, const Output& output,
               const Map& out, std::size_t n, std::size_t row) const;

  Lines lines_;
  Window window_;
  Panels panels_;
  std::size_t line_;                  // of a padded row of one plane, from one to the next
  std::size_t row_taps_, tap_steps_;  // of a row of the kernel in one plane
};

using FloatStem = Stem<FloatLines>;
using IntegerStem = Stem<IntegerLines>;

}  // namespace qarepvgg
