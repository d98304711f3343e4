// Depthwise convolution of integers. Sums are exact, also in floats: at most kMaxTaps products below 2^15 are added,
// and floats hold whole numbers up to 2^24.
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

  // The work as independent items, of which run_items runs some. An item is an output row; rows are numbered through
  // all images. The input's halo must cover the padding.
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
