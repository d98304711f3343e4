// 2-D convolution, and its gradient with respect to the input, as implicit im2col GEMM: a tap of the kernel is a
// pointer offset into the padded image, so no patch matrix is ever written. Sums of integers are exact, and have the
// same bits on every instruction set.
//
// A plan holds what depends only on shapes; running it allocates nothing. Weights are packed into panels before use.
#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "ops/conv_shape.h"
#include "ops/conv_taps.h"
#include "ops/numbers.h"
#include "ops/panels.h"

namespace qarepvgg {

// A convolution over an explicit list of taps. The transposed convolution, and so the gradient of the input, is one
// convolution for each residue class of the stride.
template <class Numbers>
class Convolution {
 public:
  using Kernels = typename Numbers::Kernels;
  using Map = typename Numbers::Map;
  using Output = typename Numbers::Output;
  using Weight = typename Numbers::Weight;
  using Packed = typename Numbers::Packed;

  // For any window with at most kMaxTaps taps. Weights packed by one plan fit any other plan with the same channels,
  // groups and panels.
  static constexpr std::size_t kMaxTaps = ConvTaps::kMaxTaps;
  static Convolution forward(const MapShape& in, std::size_t out_c, std::size_t groups, const Window& window,
                             const Kernels& kernels);
  static Convolution forward(const ConvShape& shape, const Kernels& kernels);
  // The transposed convolution from `in` to `out`: the window must take the sides of `out` to those of `in`.
  static Convolution transposed(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window,
                                const Kernels& kernels);
  // Computes the gradient of the input from that of the output, which needs a halo of data_gradient_halo().
  static Convolution data_gradient(const ConvShape& shape, const Kernels& kernels);
  static std::size_t data_gradient_halo(const ConvShape& shape);
  // Takes over the panels of another plan, whose packed weights this one will read, and cuts items for a team of that
  // size.
  void share(const Panels& panels, std::size_t members) {
    panels_ = panels;
    members_ = members;
  }
  // Halo that the input needs; any larger one will do.
  std::size_t halo() const { return layout_.halo(); }

  const Panels& panels() const { return panels_; }
  std::int32_t offset() const { return Numbers::offset(*kernels_); }  // subtracted from integers in their sums
  std::size_t weight_bytes() const;
  // weight: [out][in / groups][kernel y][kernel x].
  void pack_weights(const Weight* weight, Packed* packed, int threads) const;
  // weight: [in][out / groups][kernel y][kernel x], which are the weights of the forward convolution if this is its
  // gradient.
  void pack_transposed_weights(const Weight* weight, Packed* packed, int threads) const;

  // Number of classes of output pixels, which differ in the taps that reach them: one, except for a transposed
  // convolution. weights_of returns the weights of a class, [out][in / groups][taps of the class], from those of all,
  // [out][in / groups][kernel y][kernel x].
  std::size_t classes() const { return layout_.classes.size(); }
  std::vector<Weight> weights_of(std::size_t number, const std::vector<Weight>& weight) const;

  // The work as independent items, of which run_items runs some. Writes the interior of `out`. outputs: for integers
  // one for each class.
  std::size_t items() const;
  void run_items(const Map& in, const Packed* weights, const Output* outputs, const Map& out, const Tile& items) const;
  // All items.
  void run(const Map& in, const Packed* weights, const Output& output, const Map& out, int threads) const;
  // Some rows of the first image, where every output pixel reads the same taps. in, out: may have fewer rows than the
  // plan.
  void run_rows(const Map& in, const Packed* weights, const Output& output, const Map& out, const Tile& rows) const;

 private:
  using Class = ConvTaps::Class;

  // The halos of `in` and `out` do not count.
  Convolution(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window, bool transposed,
              const Kernels& kernels);
  void pack(const Weight* weight, Packed* packed, bool transposed, int threads) const;
  // The work of one class in one call.
  struct Pass;
  Pass pass(const Class& cls, const Map& in, const Packed* weights, const Output& output, const Map& out,
            std::size_t blocks) const;
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
  std::size_t row_blocks(const Class& cls) const;

  ConvTaps layout_;
  std::size_t groups_;
  const Kernels* kernels_;
  std::size_t members_ = 1;
  std::size_t depth_, steps_;  // input channels of a group, and how many steps they make for each tap
  Panels panels_;
};

using FloatConvolution = Convolution<FloatNumbers>;
using IntegerConvolution = Convolution<IntegerNumbers>;

}  // namespace qarepvgg
