// What differs between a convolution of floats and one of integers, for the drivers that are templates over it: types,
// the kernels that they call, and constants, which were measured.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "ops/byte_map.h"
#include "ops/conv_shape.h"
#include "ops/float_output.h"
#include "ops/quantization.h"

namespace qarepvgg {

struct FloatNumbers {
  using Kernels = KernelTable;
  using Map = FeatureMap;
  using Output = FloatOutput;
  static constexpr bool kAdds = true;  // whether a map can be added to the sums
  using Weight = float;                // before it is packed
  using Packed = float;                // what pointers to packed weights and into maps point to

  // Winograd's transformed inputs and weights; how many of them are multiplied in a step; sums of their products.
  using Word = float;
  using Product = float;
  static constexpr std::size_t kStepWords = 1;
  static constexpr std::size_t kWinogradStrides = 2;  // the largest stride
  using WinogradWeights = qarepvgg::WinogradWeights;
  using WinogradOutput = qarepvgg::WinogradOutput;

  static bool winograd_pays(const ConvShape&, const KernelTable&) { return true; }
  static const WinogradKernels& winograd(const KernelTable& kernels, std::size_t stride) {
    return stride == 1 ? kernels.winograd : kernels.strided_winograd;
  }
  static void transform(const KernelTable& kernels, const WinogradWeights& call) {
    kernels.tensor->winograd_weights(call);
  }
  static const auto& products(const KernelTable& kernels) { return kernels.conv_prefetch; }
  // A tile of products, but for its place.
  static ConvTile product_tile(std::size_t pixel, std::size_t steps, std::size_t width) {
    static constexpr std::ptrdiff_t kTap = 0;
    ConvTile tile{};
    tile.input_pixel = signed_size(pixel);
    tile.taps = &kTap;
    tile.tap_count = 1;
    tile.depth = steps;
    tile.out_pixel = signed_size(width);
    tile.valid = width;
    return tile;
  }
};

// Integers from 0 to 255, and weights from -128 to 127. Pointers into maps and to packed weights point to bytes.
struct IntegerNumbers {
  using Kernels = IntegerKernels;
  using Map = ByteMap;
  using Output = SumStore;
  static constexpr bool kAdds = false;
  using Weight = std::int8_t;
  using Packed = std::byte;

  using Word = std::int16_t;
  using Product = std::int32_t;
  static constexpr std::size_t kStepWords = 2;
  static constexpr std::size_t kWinogradStrides = 1;
  struct WinogradWeights {
    const std::int8_t* weight;
    std::size_t step;
    std::int16_t* out;
    std::size_t point;
    int lanes;
    bool turned, strided;  // strided: never
  };
  using WinogradOutput = IntegerWinogradOutput;

  // Where the direct form multiplies bytes, four in an instruction, Winograd's saves half of the instructions, not
  // three quarters, and its weights are eight times as many bytes. So it needs more channels, among which the
  // transforms are shared, and more pixels, among which the weights are.
  static bool winograd_pays(const ConvShape& shape, const IntegerKernels& kernels);
  static const IntegerWinogradKernels& winograd(const IntegerKernels& kernels, std::size_t) { return kernels.winograd; }
  static void transform(const IntegerKernels& kernels, const WinogradWeights& call);
  static const auto& products(const IntegerKernels& kernels) { return kernels.products; }
  static ProductTile product_tile(std::size_t pixel, std::size_t steps, std::size_t) {
    ProductTile tile{};
    tile.input_pixel = signed_size(pixel);
    tile.steps = steps;
    return tile;
  }
};

}  // namespace qarepvgg
