// Depthwise convolution of integers. Sums are exact, also in floats: at most kMaxTaps products below 2^15 are added,
// and floats hold whole numbers up to 2^24.
//
// It shares no driver with ops/depthwise.h: where bytes are multiplied, blocks of neighbouring pixels and pairs of rows
// take the place of rows, and what is left in common is a loop over rows.
#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "ops/byte_map.h"
#include "ops/convolution.h"
#include "ops/quantization.h"

namespace qarepvgg {

class IntegerDepthwise {
 public:
  static constexpr std::size_t kMaxTaps = 100;
  static bool supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window);

  IntegerDepthwise(const Window& window, const MapShape& out, const IntegerKernels& kernels);

  // All channels as one group.
  Panels panels() const { return {out_.c, 1, kAlignedFloats}; }
  std::int32_t offset() const { return 0; }  // subtracted from elements in its sums
  std::size_t weight_bytes() const;
  // weight: [channels][1][kernel y][kernel x].
  void pack_weights(const std::int8_t* weight, std::byte* packed) const;

  // The work as independent items, of which run_items runs some. An item is as many output rows of an image as are
  // computed together; items are numbered through all images. The input's halo must cover the padding.
  std::size_t items() const;
  void run_items(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                 const Tile& items) const;

 private:
  struct Run;
  struct Strip;
  // Rows of one image.
  void run_taps(const Run& run, std::size_t image, const Tile& rows) const;
  void run_dots(const Run& run, std::size_t image, const Tile& rows) const;
  void run_strip(const Run& run, std::size_t image, const Tile& rows, const Strip& strip) const;
  template <class Body>
  void for_each_strip(const Body& body) const;

  std::size_t block() const { return 4 * static_cast<std::size_t>(kernels_->lanes); }  // elements
  std::size_t fours() const;
  std::size_t weight_vector() const;

  Window window_;
  MapShape out_;
  const IntegerKernels* kernels_;
  void (*kernel_)(const IntegerDepthwiseRow&);  // for windows without dots
  const IntegerKernels::DepthwiseDots* dots_;   // or null
};

}  // namespace qarepvgg
