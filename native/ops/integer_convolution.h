// Convolution of integers as implicit im2col GEMM, as in ops/convolution.h: exact sums, fused with their conversion to
// the output. The same bits on every instruction set.
#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "ops/byte_map.h"
#include "ops/convolution.h"
#include "ops/quantization.h"

namespace qarepvgg {

class IntegerConvolution {
 public:
  // Input needs a halo of `shape.padding`. Weights packed by one plan fit any other plan with the same channels, groups
  // and panels. `members`: size of the team that will share the items.
  IntegerConvolution(const ConvShape& shape, const IntegerKernels& kernels);
  IntegerConvolution(const ConvShape& shape, const Panels& panels, std::size_t members, const IntegerKernels& kernels);
  // For any window with at most ConvTaps::kMaxTaps taps.
  static IntegerConvolution forward(const MapShape& in, std::size_t out_c, std::size_t groups, const Window& window,
                                    const IntegerKernels& kernels);
  // The transposed convolution from `in` to `out`: the window must take the sides of `out` to those of `in`.
  static IntegerConvolution transposed(const MapShape& in, const MapShape& out, std::size_t groups,
                                       const Window& window, const IntegerKernels& kernels);
  // Takes over the panels of another plan, whose packed weights this one will read, and cuts items for a team of that
  // size.
  void share(const Panels& panels, std::size_t members) {
    panels_ = panels;
    members_ = members;
  }
  std::size_t halo() const { return layout_.halo(); }

  const Panels& panels() const { return panels_; }
  std::int32_t offset() const { return kernels_->conv_offset; }  // subtracted from elements in its sums
  std::size_t weight_bytes() const;
  // weight: [out][in / groups][kernel y][kernel x], also for the transposed convolution.
  void pack_weights(const std::int8_t* weight, std::byte* packed, int threads) const;

  // Number of classes of output pixels, which differ in the taps that reach them: one, except for a transposed
  // convolution. weights_of returns the weights of a class, [out][in / groups][taps of the class].
  std::size_t classes() const { return layout_.classes.size(); }
  std::vector<std::int8_t> weights_of(std::size_t number, const std::vector<std::int8_t>& weight) const;

  // The work as independent items, of which run_items runs some. An item is one panel over one block of rows. Writes
  // the interior of `out`. sums: one for each class.
  std::size_t items() const;
  void run_items(const ByteMap& in, const std::byte* weights, const SumStore* sums, const ByteMap& out,
                 const Tile& items) const;

 private:
  using Class = ConvTaps::Class;
  struct Pass;
  IntegerConvolution(ConvTaps layout, std::size_t groups, const IntegerKernels& kernels);
  Pass pass(const Class& cls, const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
            std::size_t blocks) const;
  void run_item(const Pass& pass, std::size_t item) const;
  // Panels of all groups and images.
  std::size_t parts() const { return (layout_.product ? 1 : layout_.in.n) * groups_ * panels_.count(); }
  std::size_t row_blocks(const Class& cls) const;

  ConvTaps layout_;
  std::size_t groups_;
  const IntegerKernels* kernels_;
  std::size_t members_ = 1;
  std::size_t depth_, steps_;  // input channels of a group, and how many steps of 32 bits they make for each tap
  Panels panels_;
};

inline constexpr std::size_t kStepBytes = 4;

// Packs one step of weights for the lanes of a panel: `element(lane, e)` is the weight of element e of the step.
// Returns the place after it.
template <class Element>
std::byte* pack_step(const IntegerKernels& kernels, std::size_t width, const Element& element, std::byte* out) {
  if (kernels.element_bytes == 1) {
    auto* bytes = reinterpret_cast<std::int8_t*>(out);
    for (std::size_t lane = 0; lane < width; ++lane)
      for (std::size_t e = 0; e < kStepBytes; ++e) *bytes++ = element(lane, e);
  } else {
    auto* words = reinterpret_cast<std::int16_t*>(out);
    for (std::size_t lane = 0; lane < width; ++lane)
      for (std::size_t e = 0; e < kStepBytes / 2; ++e) *words++ = element(lane, e);
  }
  return out + kStepBytes * width;
}

inline std::size_t step_elements(const IntegerKernels& kernels) {
  return kStepBytes / static_cast<std::size_t>(kernels.element_bytes);
}

}  // namespace qarepvgg
