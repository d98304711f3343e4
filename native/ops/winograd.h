// 3x3 convolution by Winograd's minimal filtering: F(4x4, 3x3) for stride 1, F(4, 2) on the odd pixels for stride 2,
// and smaller tiles, nested in these, for the last two pixels of a side. kernels/kernel_table.h has points and sources.
// It needs about a quarter of the multiplications of the direct form, with stride 2 about 56 percent. The relative L2
// error is about twice that of the direct form.
//
// Weights are kept at their 36 points, or as the nine taps of the direct form, from which each block of tiles computes
// the points again.
//
// A plan holds what depends only on shapes; running it allocates nothing.
#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "ops/convolution.h"
#include "ops/winograd_tiles.h"

namespace qarepvgg {

class WinogradConvolution {
 public:
  // Whether the algorithm can compute this shape: 3x3, stride 1 or 2, padding 1, no dilation, channels of a group in
  // whole cache lines.
  static bool supports(const ConvShape& shape);
  // Whether it is faster than the direct form: there must be enough channels for the multiplications to outweigh the
  // transforms. A fixed rule, so that results can be reproduced.
  static bool pays(const ConvShape& shape);

  enum class Weights { kPoints, kTaps };
  // Taps where an image is one block of tiles, which uses every weight once: computing the points of a quarter of the
  // numbers takes about as long as waiting for all of them. A fixed rule, too.
  static Weights keeps(const ConvShape& shape);
  // `members`: size of the team that will share a run. Weights packed by one plan fit any other plan with the same
  // channels, groups and panels that keeps the same.
  WinogradConvolution(const ConvShape& shape, const Panels& panels, std::size_t members, const KernelTable& kernels,
                      Weights kept = Weights::kPoints);
  static Panels choose(const ConvShape& shape, const KernelTable& kernels);

  const Panels& panels() const { return panels_; }
  Weights kept() const { return kept_; }
  std::size_t weight_floats() const;
  std::size_t bias_floats() const { return shape_.groups * panels_.padded(); }
  // weight: [out][in / groups][3][3].
  void pack_weights(const float* weight, float* packed, int threads) const;
  // For the data gradient with stride 1. This convolution computes the gradient of the input from that of the output,
  // so its weights are those of the forward convolution, turned by 180 degrees: [in][out / groups][3][3], where `in`
  // and `out` are those of this convolution.
  void pack_transposed_weights(const float* weight, float* packed, int threads) const;
  void pack_bias(const float* bias, float* packed) const;

  // Scratch of one member of the team.
  std::size_t scratch_floats() const;
  // The work as independent items, of which run_items runs some. An item is one panel of one block of tiles. `in` needs
  // a halo of 1. Writes the interior of `out`. `first`: the scratch holds nothing of this run yet; otherwise it still
  // holds the block whose input was transformed last.
  std::size_t items() const { return tiles_.blocks() * shape_.groups * panels_.count(); }
  void run_items(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                 ConvOptions options, float* scratch, const Tile& items, bool first) const;

 private:
  using TileRef = WinogradTiles::TileRef;
  using Block = WinogradTiles::Block;

  std::size_t points() const { return WinogradTiles::points(shape_.stride); }
  template <class SourceOf>
  void pack(float* packed, std::size_t step, bool turned, int threads, const SourceOf& source_of) const;
  // Computes the products of one panel: v -> m.
  void multiply(const Block& block, std::size_t group, std::size_t panel, const float* v, const float* weights,
                float* m, float* row) const;
  // Computes rows of points, from `row` on, of `count` kernels of a panel. Returns how many.
  std::size_t compute_rows(const float* taps, std::size_t row, std::size_t count, float* points) const;
  void transform_block(const Block& block, const FeatureMap& in, float* v, float* patch) const;
  void run_panel(const Block& block, std::size_t index, const float* weights, const float* bias, const FeatureMap& out,
                 ConvOptions options, float* v) const;
  void transform_output(const TileRef& tile, const float* m, const float* bias, std::size_t channel, std::size_t width,
                        const FeatureMap& out, ConvOptions options, float* patch) const;
  std::size_t row_point() const;  // floats from one point to the next in a row of a panel's computed weights
  std::size_t v_point() const;    // floats from one point to the next in the transformed input
  std::size_t m_point() const;    // ... in the products of one panel

  ConvShape shape_;
  Panels panels_;
  const KernelTable* kernels_;
  Weights kept_;
  std::size_t pixel_;  // padded input channels
  WinogradTiles tiles_;
};

}  // namespace qarepvgg
