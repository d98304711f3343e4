// Convolution of integers as implicit im2col GEMM, as in ops/convolution.h: exact sums, fused with what becomes of
// them. Bit-identical on every instruction set.
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
  // Input needs a halo of `shape.padding`. Weights packed by one plan fit any other of the same channels, groups and
  // panels.
  IntegerConvolution(const ConvShape& shape, const IntegerKernels& kernels);
  IntegerConvolution(const ConvShape& shape, const Panels& panels, const IntegerKernels& kernels);

  const Panels& panels() const { return panels_; }
  std::int32_t offset() const { return kernels_->conv_offset; }  // of the elements in its sums
  std::size_t weight_bytes() const;
  // weight: [out][in / groups][kernel][kernel].
  void pack_weights(const std::int8_t* weight, std::byte* packed, int threads) const;

  // One member's part, inside a parallel region. Does not wait for the others. Writes the interior of `out`.
  void run_part(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                const Member& member) const;

 private:
  // The work of one call as numbered items: one panel over one block of rows.
  struct Pass;
  void run_item(const Pass& pass, std::size_t item) const;
  std::size_t taps() const { return shape_.kernel * shape_.kernel; }
  std::size_t row_blocks(std::size_t row_bytes, std::size_t parts, std::size_t members) const;

  ConvShape shape_;
  const IntegerKernels* kernels_;
  bool product_;                // images of one pixel: a matrix product, the images are the pixels of one row
  std::size_t rows_, columns_;  // of the output, as the kernels see it
  std::size_t steps_;           // of 32 bits, per tap
  Panels panels_;
};

inline constexpr std::size_t kStepBytes = 4;

// One step of packed weights, for the lanes of a panel: `element(lane, e)` is the weight of element e of the step.
// Returns what comes after it.
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

inline Panels choose_panels(std::size_t channels, std::size_t items, const IntegerKernels& kernels, int preferred = 2) {
  return choose_panels(channels, items, kernels.lanes, kernels.max_rows, preferred);
}

}  // namespace qarepvgg
