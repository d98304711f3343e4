// Convolution of each channel of integers by itself, with as many groups as channels. Sums are exact, in floats, too:
// of products below 2^15 no more than kMaxTaps are added, and floats hold whole numbers up to 2^24.
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

  // Of one group of all channels.
  Panels panels() const { return {out_.c, 1, kAlignedFloats}; }
  std::int32_t offset() const { return 0; }  // of the elements in its sums
  std::size_t weight_bytes() const;
  // weight: [channels][1][kernel y][kernel x].
  void pack_weights(const std::int8_t* weight, std::byte* packed) const;

  // The work as items that do not depend on each other, and some of them: output rows, counted through the images. The
  // input's halo covers the padding.
  std::size_t items() const { return out_.n * out_.h; }
  void run_items(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                 const Tile& rows) const;

 private:
  // Whether the kernel multiplies bytes.
  bool has_dots() const { return kernel_ != nullptr && kernels_->depthwise_dots; }

  Window window_;
  MapShape out_;
  const IntegerKernels* kernels_;
  void (*kernel_)(const IntegerDepthwiseRow&);  // null: any window
};

}  // namespace qarepvgg
