// 3x3 convolution by Winograd's minimal filtering: F(4x4, 3x3) for stride 1, F(4, 2) on the odd pixels for stride 2,
// and smaller tiles, nested in these, for the last two pixels of a side. It needs about a quarter of the
// multiplications of the direct form, with stride 2 about 56 percent.
//
// Floats: kernels/kernel_table.h has points and sources. The relative L2 error is about twice that of the direct form.
// Integers, with stride 1: in whole numbers, of 16 bits once transformed, so that the bits are those of the direct form
// (kernels/integer_kernels.h has the points and the proof).
//
// Weights are kept at their 36 points, or as the nine taps of the direct form, from which each block of tiles computes
// the points again.
//
// A plan holds what depends only on shapes; running it allocates nothing.
#pragma once

#include <cstddef>

#include "ops/conv_shape.h"
#include "ops/numbers.h"
#include "ops/panels.h"
#include "ops/winograd_tiles.h"

namespace qarepvgg {

template <class Numbers>
class Winograd {
 public:
  using Kernels = typename Numbers::Kernels;
  using Map = typename Numbers::Map;
  using Output = typename Numbers::Output;
  using Weight = typename Numbers::Weight;
  using Packed = typename Numbers::Packed;

  // Whether the algorithm can compute this shape: 3x3, padding 1, no dilation, channels of a group in whole cache lines
  // of floats.
  static bool supports(const ConvShape& shape);
  // Whether it is faster than the direct form: there must be enough channels for the multiplications to outweigh the
  // transforms. A fixed rule, so that results can be reproduced.
  static bool pays(const ConvShape& shape, const Kernels& kernels);

  enum class Weights { kPoints, kTaps };
  // Taps where an image is one block of many tiles, which uses every weight once: computing the points from a quarter
  // of the numbers then takes about as long as waiting for all of them. A fixed rule, too.
  static Weights keeps(const ConvShape& shape);

  // `members`: size of the team that will share a run. Weights packed by one plan fit any other plan with the same
  // channels, groups and panels that keeps the same.
  Winograd(const ConvShape& shape, const Panels& panels, std::size_t members, const Kernels& kernels,
           Weights kept = Weights::kPoints);
  static Panels choose(const ConvShape& shape, const Kernels& kernels);

  const Panels& panels() const { return panels_; }
  Weights kept() const { return kept_; }
  std::int32_t offset() const { return 0; }  // subtracted from integers in their sums
  std::size_t weight_bytes() const;
  // weight: [out][in / groups][3][3].
  void pack_weights(const Weight* weight, Packed* packed, int threads) const;
  // For the data gradient with stride 1. This convolution computes the gradient of the input from that of the output,
  // so its weights are those of the forward convolution, turned by 180 degrees: [in][out / groups][3][3], where `in`
  // and `out` are those of this convolution.
  void pack_transposed_weights(const Weight* weight, Packed* packed, int threads) const;

  // Scratch of one member of the team.
  std::size_t scratch_bytes() const;
  // The work as independent items, of which run_items runs some. An item is one panel of one block of tiles. `in` has
  // a halo of 1, or is larger than the shape by a border of 1, which takes its place. Writes the interior of `out`.
  // `first`: the scratch holds nothing of this run yet; otherwise it still holds the block whose input was transformed
  // last.
  std::size_t items() const { return tiles_.blocks() * shape_.groups * panels_.count(); }
  void run_items(const Map& in, const Packed* weights, const Output& output, const Map& out, std::byte* scratch,
                 const Tile& items, bool first) const;

 private:
  using TileRef = WinogradTiles::TileRef;
  using Block = WinogradTiles::Block;
  using Word = typename Numbers::Word;
  using Product = typename Numbers::Product;
  // Scratch: transformed input, products of one panel, the pixels of a tile that overhangs the border, and rows of
  // points that are computed.
  struct Scratch {
    Word* v;
    Product* m;
    Packed* patch;
    Word* rows;
  };

  std::size_t kept_numbers() const;  // of a kernel
  std::size_t points() const { return WinogradTiles::points(shape_.stride); }
  template <class SourceOf>
  void pack(Packed* packed, std::size_t step, bool turned, int threads, const SourceOf& source_of) const;
  void run_panel(const Block& block, std::size_t index, const Packed* weights, const Output& output, const Map& out,
                 const Scratch& scratch) const;
  // Computes the products of one panel: v -> m. channels: some input channels of the group, in order.
  void multiply(const Block& block, std::size_t group, std::size_t panel, const Tile& channels, const Word* weights,
                const Scratch& scratch) const;
  // Computes rows of points, from `row` on, of `count` kernels of a panel. Returns how many. tap: from a tap of a
  // kernel to the next.
  std::size_t compute_rows(const Word* taps, std::size_t tap, std::size_t row, std::size_t count, Word* points) const;
  std::size_t depth_at_once() const;  // input channels of a group that are multiplied at once
  void transform_output(const TileRef& tile, const Product* m, const Output& output, std::size_t channel,
                        std::size_t width, const Map& out, Packed* patch) const;
  std::size_t v_point() const;  // words from one point to the next in the transformed input
  std::size_t v_block() const;  // words from one block of channels to the next
  std::size_t m_point() const;  // products from one point to the next
  std::size_t patch_bytes() const;

  ConvShape shape_;
  Panels panels_;
  const Kernels* kernels_;
  Weights kept_;
  WinogradTiles tiles_;
};

using FloatWinograd = Winograd<FloatNumbers>;
using IntegerWinograd = Winograd<IntegerNumbers>;

// Whether the integers of these weights, [out][in / groups][3][3], can be computed for any input: their sums must stay
// below 2^25.
bool is_exact_winograd(const ConvShape& shape, const std::int8_t* weight);

}  // namespace qarepvgg
