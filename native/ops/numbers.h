// What differs between a convolution of floats and one of integers, for the drivers that are templates over it: types,
// the kernels that they call, and constants, which were measured.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "ops/byte_map.h"
#include "ops/conv_shape.h"
#include "ops/float_output.h"
#include "ops/quantization.h"

namespace qarepvgg {

// Packed weights, elements of integers, and lines of a stem come in steps of 32 bits, which are multiplied at once: a
// float, or several integers of consecutive channels.
inline constexpr std::size_t kStepBytes = 4;

// Weights that are a distance apart.
struct Strided {
  std::size_t count, distance;
};

struct FloatNumbers {
  using Kernels = KernelTable;
  using Map = FeatureMap;
  using Output = FloatOutput;
  static constexpr bool kAdds = true;    // whether a map can be added to the sums
  static constexpr bool kClears = true;  // whether kernels can clear the lanes that pad the last vector
  using Weight = float;                  // before it is packed
  using Packed = float;                  // what pointers to packed weights and into maps point to
  static constexpr std::size_t kLane = kStepBytes / sizeof(Packed);  // how far pointers move over a step

  static const KernelTable& kernels(const KernelTable& table) { return table; }
  static FeatureMap map(std::byte* memory, const MapShape& shape, std::size_t) {
    return {reinterpret_cast<float*>(memory), shape};
  }
  // Multiply-adds of a piece, so that pieces take about the right time. Winograd's algorithm computes more of them in
  // that time.
  static constexpr double kPieceMacs = 4e6, kWinogradPieceMacs = 8e6, kStemPieceMacs = 4e6;

  static std::size_t step_elements(const KernelTable&) { return 1; }
  static std::size_t element_bytes(const KernelTable&) { return sizeof(float); }
  static std::int32_t offset(const KernelTable&) { return 0; }
  // Packs a step of weights for the lanes of a panel, `width` of them. elements: of the step. Missing ones are zero.
  static void pack_step(const KernelTable& kernels, const float* weight, Strided lanes, Strided elements,
                        std::size_t width, float* out);

  // ---- direct -----------------------------------------------------------------------------------------------------

  using ConvTile = qarepvgg::ConvTile;
  // Whether outputs of the classes of a transposed convolution differ.
  static constexpr bool kOutputOfClass = false;
  // The weights of a group stay in the cache, while each tile of pixels uses all of them, up to this size.
  static constexpr std::size_t kFewBytes = 128 * 1024;
  // Larger weights do not stay in the second-level cache.
  static constexpr std::size_t kStreamedBytes = 1024 * 1024;
  // Larger images may exceed the second-level cache together with what else uses it, so their rows are prefetched.
  static constexpr std::size_t kFarBytes = 256 * 1024;
  // Whether a team shares an image by rows rather than by panels.
  static constexpr bool kSharesRows = false;
  // Whether there is time to prefetch a panel: a single row of tiles leaves none.
  static bool can_stream(std::size_t rows, std::size_t, std::size_t) { return rows > 1; }
  // Makes a tile prefetch memory, of which `steps` steps take this length. Returns how much a step prefetches.
  static std::size_t prefetch(ConvTile& tile, const float* first, std::size_t length, std::size_t steps) {
    tile.prefetch = first;
    tile.prefetch_step = ceil_div(length, std::max<std::size_t>(1, steps));  // no steps: no tap reaches the outputs
    return tile.prefetch_step;
  }

  // ---- Winograd ---------------------------------------------------------------------------------------------------

  // Winograd's transformed inputs and weights; how many of them are multiplied in a step; sums of their products.
  using Word = float;
  using Product = float;
  static constexpr std::size_t kStepWords = 1;
  static constexpr std::size_t kWinogradStrides = 2;  // the largest stride
  // Vectors of a panel, among panels that compute equally fast. With few, weights at a point take less of the
  // first-level cache.
  static constexpr int kWinogradVectors = 2;
  static constexpr bool kKeepsTaps = true;  // whether a kernel computes points from taps
  using WinogradWeights = qarepvgg::WinogradWeights;
  using WinogradOutput = qarepvgg::WinogradOutput;

  static bool winograd_pays(const ConvShape&, const KernelTable&) { return true; }
  static const WinogradKernels& winograd(const KernelTable& kernels, std::size_t stride) {
    return stride == 1 ? kernels.winograd : kernels.strided_winograd;
  }
  static void transform(const KernelTable& kernels, const WinogradWeights& call) {
    kernels.tensor->winograd_weights(call);
  }
  static const auto& products(const KernelTable& kernels) { return kernels.products; }
  // Transformed inputs of a point are [channels / block][tile][block].
  static std::size_t winograd_block(std::size_t) { return kWinogradBlock; }
  static WinogradInput winograd_input(float* out, std::size_t point, std::size_t block) {
    WinogradInput call{};
    call.out = out;
    call.point = signed_size(point);
    call.block = signed_size(block);
    return call;
  }
  // A tile of products, but for its place. tile, block: words from a tile, a block to the next.
  static ProductTile product_tile(std::size_t, std::size_t block, std::size_t channels) {
    ProductTile tile{};
    tile.block = signed_size(block);
    tile.blocks = channels / kWinogradBlock;
    return tile;
  }
};

// Integers from 0 to 255, and weights from -128 to 127. Pointers into maps and to packed weights point to bytes.
struct IntegerNumbers {
  using Kernels = IntegerKernels;
  using Map = ByteMap;
  using Output = SumStore;
  static constexpr bool kAdds = false;
  static constexpr bool kClears = false;
  using Weight = std::int8_t;
  using Packed = std::byte;
  static constexpr std::size_t kLane = kStepBytes / sizeof(Packed);

  static const IntegerKernels& kernels(const KernelTable& table) { return *table.integer; }
  static ByteMap map(std::byte* memory, const MapShape& shape, std::size_t element) { return {memory, shape, element}; }
  static constexpr double kPieceMacs = 16e6, kWinogradPieceMacs = 20e6, kStemPieceMacs = 8e6, kDepthwisePieceMacs = 2e6;

  static std::size_t step_elements(const IntegerKernels& kernels) { return kStepBytes / element_bytes(kernels); }
  static std::size_t element_bytes(const IntegerKernels& kernels) {
    return static_cast<std::size_t>(kernels.element_bytes);
  }
  static std::int32_t offset(const IntegerKernels& kernels) { return kernels.conv_offset; }
  static void pack_step(const IntegerKernels& kernels, const std::int8_t* weight, Strided lanes, Strided elements,
                        std::size_t width, std::byte* out);

  // ---- direct -----------------------------------------------------------------------------------------------------

  using ConvTile = IntegerTile;
  // What sums start from depends on the weights of the class.
  static constexpr bool kOutputOfClass = true;
  static constexpr std::size_t kFewBytes = 0;  // a panel at a time: see kSharesRows
  static constexpr std::size_t kStreamedBytes = 256 * 1024;
  static constexpr std::size_t kFarBytes = kMaxSize;  // images are a quarter of those of floats
  // Members that share rows never write to the same cache line: a panel of bytes is less than a line.
  static constexpr bool kSharesRows = true;
  // A step prefetches one cache line, so the tiles of all rows must have as many steps as the panel has lines.
  static bool can_stream(std::size_t rows, std::size_t tiles, std::size_t width) {
    return rows * tiles * kAlignment >= width * kStepBytes;
  }
  static std::size_t prefetch(IntegerTile& tile, const std::byte* first, std::size_t, std::size_t) {
    tile.prefetch = first;
    return kAlignment;
  }

  // ---- Winograd ---------------------------------------------------------------------------------------------------

  using Word = std::int16_t;
  using Product = std::int32_t;
  static constexpr std::size_t kStepWords = 2;
  static constexpr std::size_t kWinogradStrides = 1;
  static constexpr int kWinogradVectors = 3;  // wide panels read the transformed input less often
  static constexpr bool kKeepsTaps = false;
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
  static std::size_t winograd_block(std::size_t channels) { return channels; }
  static IntegerWinogradInput winograd_input(std::int16_t* out, std::size_t point, std::size_t) {
    IntegerWinogradInput call{};
    call.out = out;
    call.point = signed_size(point);
    return call;
  }
  static IntegerProductTile product_tile(std::size_t pixel, std::size_t, std::size_t channels) {
    IntegerProductTile tile{};
    tile.input_pixel = signed_size(pixel);
    tile.steps = channels / kStepWords;
    return tile;
  }
};

}  // namespace qarepvgg
