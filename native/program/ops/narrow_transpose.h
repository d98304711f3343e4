// The common part of transposed convolutions to few channels, of floats or integers. If kernels do not overlap, a block
// of output pixels is a matrix times an input pixel. With few channels, such a block fits into a vector, and a map
// would be mostly padding, so the output is a plain tensor of floats.
#pragma once

#include "program/ops/conv_parts.h"

namespace qarepvgg {

bool is_narrow(const ConvDims& dims);

// An item is a row of the input.
class NarrowStep : public Step {
 public:
  NarrowStep(const ConvDims& dims, std::size_t members, const MapShape& in, const Activation& activation);
  std::size_t scratch_bytes() const override { return row_of_blocks().floats() * sizeof(float); }

 protected:
  const MapShape& in() const { return in_; }
  const Activation& activation() const { return activation_; }
  MapShape row_of_input() const { return {1, in_.c, 1, in_.w}; }

 private:
  // Multiplies a row of input pixels by the matrix, [channel and tap][in], and clamps the products.
  virtual void multiply(const Operands& at, std::size_t image, std::size_t y, const FeatureMap& blocks) const = 0;
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool first) const override;
  MapShape row_of_blocks() const { return {1, out_.c * window_.taps(), 1, in_.w}; }
  void scatter(const FeatureMap& blocks, std::size_t first, float* to) const;

  Window window_;
  MapShape in_, out_;
  Activation activation_;
};

}  // namespace qarepvgg
