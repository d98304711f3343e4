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
  // Throws ERR_INVALID_ARG or ERR_SHAPE if the numbers do not describe a convolution, and ERR_SIZE_OVERFLOW if the
  // number of elements of an operand overflows, so that products of dims cannot wrap later. Memory with halos and
  // padding is checked where it is planned.
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
  // Lanes of all panels together: the padded number of channels of a group.
  std::size_t padded() const { return round_up(channels, lanes); }
};

struct ConvOptions {
  bool accumulate = false;  // adds the addend, or without an addend the content of the output
  bool relu = false;
  const UnaryFunction* then = nullptr;  // applied to the output; must have a kernel
  float ceiling = kNoCeiling;           // upper bound of the ReLU
  const FeatureMap* addend = nullptr;   // of the output's dims; may be the output

  // The map that is added to the output.
  const FeatureMap& addend_for(const FeatureMap& out) const { return addend != nullptr ? *addend : out; }
};

// Images of one pixel under a 1x1 kernel, as in a linear layer.
inline bool is_matrix_product(const ConvShape& shape) {
  return shape.kernel == 1 && shape.in_h == 1 && shape.in_w == 1 && shape.stride == 1 && shape.padding == 0;
}

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
  std::size_t weight_floats() const;
  std::size_t bias_floats() const;
  // weight: that of the forward convolution for both directions, [out][in / groups][kernel][kernel].
  void pack_weights(const float* weight, float* packed, int threads) const;
  // bias: one per output channel.
  void pack_bias(const float* bias, float* packed) const;

  // bias: packed, or null. Writes the interior of `out`.
  void run(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out, ConvOptions options,
           int threads) const;
  // The same work as independent items, of which run_items runs some.
  std::size_t items() const;
  void run_items(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                 ConvOptions options, const Tile& items) const;
  // Some rows of the first image, where every output pixel reads the same taps. in, out: may have fewer rows than the
  // plan.
  void run_rows(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                ConvOptions options, const Tile& rows) const;
  // The weights of a group stay in the cache, while each tile of pixels uses all of them, up to this size.
  static constexpr std::size_t kFewBytes = 128 * 1024;

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
  void run_part(const Pass& pass, std::size_t image, std::size_t group, std::size_t first_panel,
                const Tile& rows) const;
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

// Chooses the panels with the lowest estimated cost for tiles over `items` rows (pixels or input channels). max_rows:
// most rows of a tile of 1, 2 and 3 vectors. Ties go to `preferred` vectors.
Panels choose_panels(std::size_t channels, std::size_t items, int lanes, const int (&max_rows)[kMaxTileVectors],
                     int preferred);
inline Panels choose_panels(std::size_t channels, std::size_t items, const KernelTable& kernels, int preferred = 2) {
  return choose_panels(channels, items, kernels.lanes, kernels.max_rows, preferred);
}

}  // namespace qarepvgg
