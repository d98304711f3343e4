// 2-D convolution and its two gradients as implicit im2col GEMM: a tap of the kernel is a pointer offset into the
// padded image, so no patch matrix is ever written.
//
// A plan holds what depends only on shapes; running it allocates nothing. Weights come in PyTorch's layout
// [out][in / groups][kernel][kernel] and are packed into panels before use.
#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/conv_shape.h"
#include "ops/conv_taps.h"
#include "ops/feature_map.h"
#include "ops/float_output.h"
#include "ops/panels.h"

namespace qarepvgg {

// A convolution over an explicit list of taps: the forward pass, or the gradient with respect to the input, which is
// one such convolution for each residue class of the stride.
class TapConvolution {
 public:
  // Input needs a halo of `shape.padding`. Weights packed by one plan fit any other plan with the same channels, groups
  // and panels. `members`: size of the team that will share the items.
  static TapConvolution forward(const ConvShape& shape, const KernelTable& kernels);
  static TapConvolution forward(const ConvShape& shape, const Panels& panels, std::size_t members,
                                const KernelTable& kernels);
  // Computes the gradient of the input from that of the output, which needs a halo of data_gradient_halo().
  static TapConvolution data_gradient(const ConvShape& shape, const KernelTable& kernels);
  static std::size_t data_gradient_halo(const ConvShape& shape);
  // For any window with at most kMaxTaps taps. `in` may have any halo; weight: [out_c][in.c / groups][kernel y][kernel
  // x].
  static TapConvolution forward(const MapShape& in, std::size_t out_c, std::size_t groups, const Window& window,
                                const KernelTable& kernels);
  // The transposed convolution from `in` to `out`: the window must take the sides of `out` to those of `in`. weight:
  // [in.c][out.c / groups][kernel y][kernel x].
  static TapConvolution transposed(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window,
                                   const KernelTable& kernels);
  static constexpr std::size_t kMaxTaps = ConvTaps::kMaxTaps;
  // Halo that the input needs.
  std::size_t halo() const { return layout_.halo(); }

  const Panels& panels() const { return panels_; }
  // Takes over the panels of another plan, whose packed weights this one will read, and cuts items for a team of that
  // size.
  void share(const Panels& panels, std::size_t members) {
    panels_ = panels;
    members_ = members;
  }
  std::size_t weight_bytes() const;
  // weight: that of the forward convolution for both directions, [out][in / groups][kernel][kernel].
  void pack_weights(const float* weight, float* packed, int threads) const;

  // bias: packed, or null. Writes the interior of `out`.
  void run(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out, ConvOptions options,
           int threads) const;
  // The same work as independent items, of which run_items runs some.
  std::size_t items() const;
  void run_items(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                 ConvOptions options, const Tile& items) const;

 private:
  using Class = ConvTaps::Class;

  // The halos of `in` and `out` do not count.
  TapConvolution(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window, bool transposed,
                 const KernelTable& kernels);
  // The work of one class in one call, as numbered items.
  struct Pass;
  Pass pass(const Class& cls, const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
            ConvOptions options, std::size_t blocks) const;
  void run_item(const Pass& pass, std::size_t item) const;
  // All panels of a group, or one.
  std::size_t panels_per_item() const;
  // Items of a block of rows.
  std::size_t parts() const {
    return (layout_.product ? 1 : layout_.in.n) * groups_ * (panels_.count() / panels_per_item());
  }
  // How many blocks to cut a class's rows into: small enough for the cache, and enough for the members.
  std::size_t row_blocks(const Class& cls, std::size_t members) const;

  ConvTaps layout_;
  std::size_t groups_;
  const KernelTable* kernels_;
  std::size_t members_ = 1;
  std::size_t depth_;  // input channels of a group
  Panels panels_;
};

// Gradient with respect to the weights: for each tap, an outer product summed over pixels. One thread sums each
// element, in a fixed order.
class WeightGradient {
 public:
  WeightGradient(const ConvShape& shape, const KernelTable& kernels);

  std::size_t workspace_floats() const;
  // Adds to grad_weight, [out][in / groups][kernel][kernel].
  void run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight, int threads) const;

 private:
  ConvShape shape_;
  const KernelTable* kernels_;
  Panels panels_;
  std::size_t rows_per_chunk_, images_per_chunk_;
};

}  // namespace qarepvgg
