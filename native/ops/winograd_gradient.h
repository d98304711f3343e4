// Weight gradient of a 3x3 convolution with stride 1, as the transpose of Winograd's F(4x4, 3x3) (ops/winograd.h). At
// each point, outer products of the transformed input and the transformed gradient of the output are summed over tiles;
// then follows the transpose of the weight transform. It needs about a quarter of the multiplications of the direct
// form.
//
// A plan holds what depends only on shapes; running it allocates nothing.
#pragma once

#include <cstddef>

#include "ops/panels.h"
#include "ops/winograd_tiles.h"

namespace qarepvgg {

// For shapes that Winograd supports. The number of chunks of tiles depends only on the shape, one thread
// sums each point of a chunk, and chunks are added in order, so the bits are the same for any number of threads.
class WinogradWeightGradient {
 public:
  // threads: the largest team of a run.
  WinogradWeightGradient(const ConvShape& shape, int threads, const KernelTable& kernels);

  std::size_t workspace_floats() const;
  // Adds to grad_weight, [out][in / groups][3][3]. in: halo of 1.
  void run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight, int threads) const;

 private:
  void sum_block(const WinogradTiles::Block& block, const Tile& points, const FeatureMap& in,
                 const FeatureMap& grad_out, float* scratch, float* sums, bool accumulate) const;
  void join(float* sums, float* grad_weight, int threads) const;
  std::size_t sum_floats() const;      // of a chunk: [group][point][in][padded out]
  std::size_t scratch_floats() const;  // of a member of the team
  std::size_t input_point() const { return tiles_.largest_block() * shape_.in_c + kAlignedFloats; }
  std::size_t grad_point() const { return tiles_.largest_block() * shape_.out_c + kAlignedFloats; }

  ConvShape shape_;
  const KernelTable* kernels_;
  std::size_t members_;
  Panels panels_;
  WinogradTiles tiles_;
  std::size_t chunks_;
};

}  // namespace qarepvgg
