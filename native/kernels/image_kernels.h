// Kernels on bytes of photographs. Weights are fixed-point numbers with kWeightBits bits after the point, so that sums
// are exact and have the same bits everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

// Sums of weighted bytes fit into 32 bits.
inline constexpr int kWeightBits = 22;

// For each output position the inputs that it covers, from `starts` on, and their weights, `reach` for each position.
struct PixelWeights {
  const std::size_t* starts;
  const std::size_t* counts;
  const std::int32_t* values;
  std::size_t reach;
  std::size_t outputs, inputs;
};

struct ImageKernels {
  // Rows of pixels in red, green and blue, one by one: out[r][i][c] = sum over k of in[r][starts[i] + k][c] *
  // weights[k], rounded and clipped to a byte.
  void (*scale_rows)(const std::uint8_t* in, std::size_t in_row, const PixelWeights& weights, std::size_t rows,
                     std::uint8_t* out, std::size_t out_row);
  // out[i] = sum over k of in[k * in_row + i] * weights[k], rounded and clipped to a byte.
  void (*blend_rows)(const std::uint8_t* in, std::size_t in_row, const std::int32_t* weights, std::size_t count,
                     std::size_t bytes, std::uint8_t* out);
};

extern const ImageKernels kScalarImageKernels;
extern const ImageKernels kAvx2ImageKernels;
extern const ImageKernels kAvx512ImageKernels;

}  // namespace qarepvgg
