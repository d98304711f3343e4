// 2-D convolution and its two gradients as implicit im2col GEMM: a tap of the kernel is a pointer offset into the
// padded image, so no patch matrix is ever written.
//
// A plan holds what depends on shapes alone; running it allocates nothing. Weights are handed over in PyTorch's layout
// [out][in / groups][kernel][kernel] and packed into panels before use.
#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/conv_taps.h"
#include "ops/feature_map.h"

namespace qarepvgg {

struct ConvShape {
  static constexpr std::size_t kMaxKernel = 7;

  std::size_t n, in_c, in_h, in_w;
  std::size_t out_c;
  std::size_t kernel;  // square
  std::size_t stride, padding, dilation, groups;

  std::size_t reach() const { return dilation * (kernel - 1); }
  std::size_t out_h() const { return (in_h + 2 * padding - reach() - 1) / stride + 1; }
  std::size_t out_w() const { return (in_w + 2 * padding - reach() - 1) / stride + 1; }
  MapShape input() const { return {n, in_c, in_h, in_w}; }
  MapShape output() const { return {n, out_c, out_h(), out_w()}; }
  Window window() const {
    const Side side{kernel, stride, padding, padding, dilation};
    return {side, side};
  }
  std::size_t weight_elements() const { return out_c * (in_c / groups) * kernel * kernel; }
  // Multiply-accumulates of one direction.
  double macs() const { return static_cast<double>(n * out_h() * out_w()) * static_cast<double>(weight_elements()); }
  // Throws ERR_INVALID_ARG or ERR_SHAPE when the numbers do not describe a convolution, and ERR_SIZE_OVERFLOW when the
  // elements of an operand cannot be counted: products of dims wrap nowhere after that. Memory, with its halos and
  // padding, is checked where it is planned.
  void validate() const;
};

// How the output channels of a group are cut into panels of whole vectors. The last panel may be narrower.
struct Panels {
  std::size_t channels;  // per group
  int vectors;           // of a full panel
  std::size_t lanes;

  std::size_t width() const { return static_cast<std::size_t>(vectors) * lanes; }
  std::size_t count() const { return ceil_div(channels, width()); }
  std::size_t valid(std::size_t panel) const;
  int panel_vectors(std::size_t panel) const { return static_cast<int>(ceil_div(valid(panel), lanes)); }
  // Lanes of all panels together: the padded channel count of a group.
  std::size_t padded() const { return round_up(channels, lanes); }
};

struct ConvOptions {
  bool accumulate = false;  // adds the addend, or without one what is in the output
  bool relu = false;
  const UnaryFunction* then = nullptr;  // applied to the result; has a kernel
  float ceiling = kNoCeiling;           // of what ReLU leaves
  const FeatureMap* addend = nullptr;   // of the output's dims; may be the output

  // What is added at a pixel of the output: from there on, pixels and rows are as far apart as in `map_of(out)`.
  const FeatureMap& addend_for(const FeatureMap& out) const { return addend != nullptr ? *addend : out; }
};

// Images of one pixel under a 1x1 kernel, as in a linear layer.
inline bool is_matrix_product(const ConvShape& shape) {
  return shape.kernel == 1 && shape.in_h == 1 && shape.in_w == 1 && shape.stride == 1 && shape.padding == 0;
}

// A convolution over an explicit list of taps: the forward pass, or the gradient with respect to the input, which is
// one such convolution per residue class of the stride.
class TapConvolution {
 public:
  // Input needs a halo of `shape.padding`. Weights packed by one plan fit any other of the same channels, groups and
  // panels. `members`: size of the team that will share the items.
  static TapConvolution forward(const ConvShape& shape, const KernelTable& kernels);
  static TapConvolution forward(const ConvShape& shape, const Panels& panels, std::size_t members,
                                const KernelTable& kernels);
  // From the gradient of the output to the gradient of the input. The former needs a halo of data_gradient_halo().
  static TapConvolution data_gradient(const ConvShape& shape, const KernelTable& kernels);
  static std::size_t data_gradient_halo(const ConvShape& shape);
  // With any window, whose taps are at most kMaxTaps. in: what it reads, with any halo; weight [out_c][in.c /
  // groups][kernel y][kernel x].
  static TapConvolution forward(const MapShape& in, std::size_t out_c, std::size_t groups, const Window& window,
                                const KernelTable& kernels);
  // The transposed convolution from `in` to `out`; the latter's sides are those that the window takes to the former's.
  // weight: [in.c][out.c / groups][kernel y][kernel x].
  static TapConvolution transposed(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window,
                                   const KernelTable& kernels);
  static constexpr std::size_t kMaxTaps = ConvTaps::kMaxTaps;
  // Halo that the input needs.
  std::size_t halo() const { return layout_.halo(); }

  const Panels& panels() const { return panels_; }
  // Takes the panels of a plan whose packed weights this one is to read, and cuts items for a team of that size.
  void share(const Panels& panels, std::size_t members) {
    panels_ = panels;
    members_ = members;
  }
  std::size_t weight_floats() const;
  std::size_t bias_floats() const;
  // weight: the forward convolution's, [out][in / groups][kernel][kernel], in both directions.
  void pack_weights(const float* weight, float* packed, int threads) const;
  // bias: one per output channel.
  void pack_bias(const float* bias, float* packed) const;

  // bias: packed, or null for none. Writes the interior of `out`.
  void run(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out, ConvOptions options,
           int threads) const;
  // The same as items that do not depend on each other, and some of them.
  std::size_t items() const;
  void run_items(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                 ConvOptions options, const Tile& items) const;

 private:
  using Class = ConvTaps::Class;

  // in, out: what is read and written, whose halos do not count.
  TapConvolution(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window, bool transposed,
                 const KernelTable& kernels);
  // One class of one call: its work as numbered items.
  struct Pass;
  Pass pass(const Class& cls, const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
            ConvOptions options, std::size_t blocks) const;
  void run_item(const Pass& pass, std::size_t item) const;
  // All of a group, or one.
  std::size_t panels_per_item() const;
  // Items of a block of rows.
  std::size_t parts() const {
    return (layout_.product ? 1 : layout_.in.n) * groups_ * (panels_.count() / panels_per_item());
  }
  // Blocks of a class's rows: small enough for the cache, and enough of them for the members.
  std::size_t row_blocks(const Class& cls, std::size_t members) const;

  ConvTaps layout_;
  std::size_t groups_;
  const KernelTable* kernels_;
  std::size_t members_ = 1;
  std::size_t depth_;  // input channels of a group
  Panels panels_;
};

// Gradient with respect to the weights: per tap, an outer product accumulated over pixels. Every element is summed by
// one thread in a fixed order.
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

// Vectors per panel with the lowest estimated cost for tiles over `items` rows (pixels or input channels), given the
// lanes of a vector and the most rows of a tile of 1, 2, 3 vectors. Ties go to `preferred`.
Panels choose_panels(std::size_t channels, std::size_t items, int lanes, const int (&max_rows)[kMaxTileVectors],
                     int preferred);
inline Panels choose_panels(std::size_t channels, std::size_t items, const KernelTable& kernels, int preferred = 2) {
  return choose_panels(channels, items, kernels.lanes, kernels.max_rows, preferred);
}

}  // namespace qarepvgg
