// The first convolution of a quantised network. It quantises an image of floats or bytes while it copies a few lines at
// a time into the first-level cache. There a pixel is one step of 32 bits, so that the columns of a kernel row are
// consecutive steps of one tap. Channels that do not fit go into a second plane of lines.
#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "ops/byte_map.h"
#include "ops/convolution.h"
#include "ops/quantization.h"
#include "ops/stem_convolution.h"

namespace qarepvgg {

class IntegerStem {
 public:
  static constexpr std::size_t kMaxChannels = StemConvolution::kMaxChannels;

  // in.n is ignored: one image per run. `input`: quantisation of the image.
  IntegerStem(const MapShape& in, std::size_t out_c, const Window& window, const Quantization& input,
              const IntegerKernels& kernels);
  IntegerStem(const MapShape& in, const Window& window, const Panels& panels, const Quantization& input,
              const IntegerKernels& kernels);

  const Panels& panels() const { return panels_; }
  std::int32_t offset() const { return kernels_->conv_offset; }  // subtracted from elements in its sums
  std::size_t weight_bytes() const { return planes_ * window_.taps() * panels_.padded() * 4; }
  void pack_weights(const std::int8_t* weight, std::byte* packed) const;

  // Scratch of one member of the team.
  std::size_t scratch_bytes() const;
  // One image as independent items, its output rows, of which run_items runs some. `first`: the scratch holds nothing
  // of this image yet.
  std::size_t items() const { return window_.y.positions(in_.h); }
  void run_items(const Image& image, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                 std::byte* scratch, const Tile& rows, bool first) const;

 private:
  // Copies padded input row number `row` as lines of steps, one for each plane.
  void copy_row(const Image& image, const std::uint32_t* tables, std::size_t row, std::byte* lines) const;
  void make_tables(const Image& image, std::uint32_t* tables) const;
  // Quantises the channels of a plane into the kernel's layout.
  template <class PlaneOf>
  void quantize_plane(std::size_t plane, std::size_t pixels, const PlaneOf& plane_of, std::byte* out) const;

  MapShape in_;
  Window window_;
  Panels panels_;
  Quantization input_;
  const IntegerKernels* kernels_;
  std::size_t planes_;
  std::size_t line_;                  // bytes of a padded row of one plane
  std::size_t row_taps_, tap_steps_;  // of a kernel row in one plane
};

}  // namespace qarepvgg
