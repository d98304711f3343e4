// The contract between ops and micro-kernels: plain structs of pointers and strides, and a table of functions for each
// instruction set.
//
// Strides are in floats. Activations have channels last, padded to a multiple of 16 (see ops/feature_map.h), so that
// elementwise kernels have no tails.
#pragma once

#include <cstddef>

#include "kernels/image_kernels.h"
#include "kernels/integer_kernels.h"
#include "kernels/tensor_kernels.h"

namespace qarepvgg {

// The bounds of the numbers that a store writes. NaN stays NaN.
struct Clamp {
  float low, high;
};
inline constexpr Clamp kReluClamp{0.0f, __builtin_inff()};

// One tile of a convolution, accumulated in registers over the whole reduction:
//   out[m][lane] = bias[lane] + sum over taps t and steps k of input[m * input_pixel + taps[t] + k] *
//   weights[t][k][lane]
// for m = 0..MR-1 pixels and NV vectors of lanes. This is im2col x weights without the patch matrix: a tap is a
// pointer offset into the padded image.
struct ConvTile {
  const float* input;          // pixel 0 of the tile, tap offset 0
  std::ptrdiff_t input_pixel;  // from one pixel of the tile to the next, in the input
  const std::ptrdiff_t* taps;  // [tap_count] offsets into the input
  std::size_t tap_count;
  std::size_t steps;     // of each tap: input channels of the group, >= 1
  const float* weights;  // [tap_count][steps][NV * lanes]
  const float* bias;     // [NV * lanes], or null for zero
  float* out;
  std::ptrdiff_t out_pixel;
  std::size_t valid;    // lanes to store, the last vector having at least one
  bool pads;            // the other lanes are padding: stores zero there, and may read the addend's
  const float* addend;  // added before the clamp, or null; may be out
  std::ptrdiff_t addend_pixel;
  const Clamp* clamp;  // of the result, or null
  // For conv_prefetch: memory that the next tiles will stream. Each step prefetches NV cache lines of it and
  // advances by prefetch_step floats.
  const float* prefetch;
  std::size_t prefetch_step;
};

// One tile of a weight gradient, an outer product accumulated in registers over pixels:
//   out[m][lane] (+)= sum over images i, rows r and pixels p of
//       input[i * input_image + r * input_row + p * input_pixel + m] * grad[i * grad_image + r * grad_row + ... + lane]
// for m = 0..MR-1 input channels and NV vectors of output channels.
struct OuterTile {
  const float* input;
  std::ptrdiff_t input_pixel, input_row, input_image;
  const float* grad;
  std::ptrdiff_t grad_pixel, grad_row, grad_image;
  std::size_t pixels, rows, images;
  float* out;  // [MR][out_row]
  std::ptrdiff_t out_row;
  std::size_t valid;
  bool accumulate;
};

// A rectangle of pixels: `rows` rows of `pixels` pixels of `channels` floats (a multiple of 16).
struct Region {
  std::size_t rows, pixels, channels;
};

// The start of an operand's rectangle and the distance between its rows. Pixels are `channels` apart.
struct Rows {
  const float* data;
  std::ptrdiff_t row;
};
struct MutableRows {
  float* data;
  std::ptrdiff_t row;
};

// Winograd F(4x4, 3x3) of Lavin and Gray (arXiv 1509.09308) with the points 0, +-sqrt(1/2), +-sqrt(2), infinity, and
// the nested F(2, 3) on the points 0, +-sqrt(1/2), infinity for a last tile of two pixels: both use the same
// transformed weights. A tile with 4 (2) output pixels on a side reads 6 (4) input pixels on that side. Point number
// row * 6 + column; row and column are indices of the six points in the order above.
inline constexpr int kWinogradSide = 6, kWinogradPoints = kWinogradSide * kWinogradSide;

// With stride 2, the two outer taps read the odd pixels of a side, and the middle tap reads the even ones. The odd
// pixels use F(4, 2) on the points +-1/2, +-3/2, infinity, with the nested F(2, 2) on +-1/2, infinity. Each even pixel
// is one more point; all four (two) have the same weights. A tile with 4 (2) output pixels on a side reads 9 (5) input
// pixels on that side. Point number row * 9 + column.
inline constexpr int kStridedSide = 9;

// Transformed inputs and products of them: numbers of a point are [channels / 16][tile][16], so that the tiles that a
// kernel multiplies at once lie in one piece of memory.
inline constexpr int kWinogradBlock = 16;

// One tile of products at a point, accumulated in registers over all channels:
//   out[m][lane] = sum over blocks b and channels c of input[b * block + m * 16 + c] * weights[b][c][lane]
// for m = 0..MR-1 tiles of the image and NV vectors of lanes.
struct ProductTile {
  const float* input;
  std::ptrdiff_t block;  // from a block of 16 channels to the next
  std::size_t blocks;
  const float* weights;  // [blocks][16][NV * lanes]
  float* out;            // [MR][NV * lanes]
  bool accumulate;       // adds to what is there
  // Memory that the next tiles will stream. Each channel prefetches NV cache lines and advances by prefetch_step
  // floats.
  const float* prefetch;
  std::size_t prefetch_step;
};

// Pixels of a tile -> its points. The pixels are those of the input; or, for stride 1, 4x4 (2x4, 4x2, 2x2) pixels of
// the gradient of the output, to which the transpose of the output transform is applied.
struct WinogradInput {
  const float* in;
  std::ptrdiff_t pixel, row;
  std::size_t channels;  // a multiple of 16
  float* out;            // [point][channels / 16][16]
  std::ptrdiff_t point, block;
};

// Products at the points -> 4x4 (2x4, 4x2, 2x2) output pixels, plus bias, clamped.
struct WinogradOutput {
  const float* in;  // [point][channels]
  std::ptrdiff_t point;
  const float* bias;  // or null for zero
  float* out;
  std::ptrdiff_t pixel, row;
  std::size_t channels;  // a multiple of the lanes
  const float* addend;   // added before the clamp, or null; may be out
  std::ptrdiff_t addend_pixel, addend_row;
  const Clamp* clamp;  // of the result, or null
};

// Rows of output pixels of a depthwise convolution:
//   out[y][p][c] = bias[c] + sum over rows r and columns t of
//       input[y * row_step + r * input_row + (p * stride + t) * pixel + c] * weights[(r * side + t) * channels + c]
// or, for any window, as a list of taps:
//   out[y][p][c] = bias[c] + sum over taps t of input[y * row_step + p * step + taps[t] + c] * weights[t * channels +
//   c]
struct DepthwiseRows {
  const float* input;
  std::ptrdiff_t input_row, row_step, pixel, step;
  const std::ptrdiff_t* taps;  // [tap_count]
  std::size_t tap_count;
  const float* weights;
  const float* bias;
  float* out;
  std::ptrdiff_t out_row, out_pixel;
  std::size_t rows, pixels, channels;  // channels: a multiple of 16
  const float* addend;                 // added before the clamp, or null; may be out
  std::ptrdiff_t addend_row, addend_pixel;
  const Clamp* clamp;  // of the result, or null
};

// The rows of points that are computed together, of the six rows of a kernel: two that share a part, or one.
inline constexpr int kWinogradRows[2][kWinogradSide] = {{1, 2, 0, 2, 0, 1}, {2, 0, 2, 0, 1, 1}};  // by stride - 1, row

// The nine taps of `count` kernels of 3x3, each `tap` floats after the one before -> kWinogradRows rows of their points
// from `row` on, computed in float.
struct WinogradTaps {
  const float* weight;
  std::ptrdiff_t tap;
  std::size_t count;  // a multiple of the lanes
  int row, rows;
  float* out;  // [point][count]
  std::ptrdiff_t point;
};

// Input and output are indexed by [two rows instead of four][two columns instead of four].
struct WinogradKernels {
  void (*input[2][2])(const WinogradInput&);
  void (*output[2][2])(const WinogradOutput&);
  void (*taps)(const WinogradTaps&);
};

struct KernelTable {
  const char* isa;
  const IntegerKernels* integer;
  const TensorKernels* tensor;
  const ImageKernels* image;
  int lanes;
  // Largest MR for a tile of NV vectors, indexed by NV - 1; MR * NV + NV + 1 registers are in use.
  int max_rows[kMaxTileVectors];
  // Indexed by [NV - 1][MR - 1].
  void (*conv[kMaxTileVectors][kMaxTileRows])(const ConvTile&);
  void (*conv_prefetch[kMaxTileVectors][kMaxTileRows])(const ConvTile&);
  void (*products[kMaxTileVectors][kMaxTileRows])(const ProductTile&);
  void (*outer[kMaxTileVectors][kMaxTileRows])(const OuterTile&);

  // out[c * out_row + r] = in[r * in_row + c] for rows x columns numbers.
  void (*transpose)(const float* in, std::ptrdiff_t in_row, std::size_t rows, std::size_t columns, float* out,
                    std::ptrdiff_t out_row);
  // Mean and sum of squared deviations of every channel of the region.
  void (*moments)(const Region&, Rows x, float* mean, float* m2);
  // y = (x - mean) * scale + shift per channel, plus the addend unless its data is null, clamped unless `clamp` is
  // null. y may be the addend.
  void (*normalize)(const Region&, Rows x, const float* mean, const float* scale, const float* shift, Rows addend,
                    const Clamp* clamp, MutableRows y);
  // For each channel: sum of g and sum of g * (x - mean), where g is grad, or zero if the ReLU of (x - mean) * scale +
  // shift is zero (shift is null without ReLU).
  void (*normalize_sums)(const Region&, Rows grad, Rows x, const float* mean, const float* scale, const float* shift,
                         float* sum, float* dot);
  // out (+)= g * scale - (x - mean) * slope - offset for each channel, g as above. If mean and variance are constants,
  // slope and offset are null and out (+)= g * scale.
  void (*normalize_backward)(const Region&, Rows grad, Rows x, const float* mean, const float* scale,
                             const float* shift, const float* slope, const float* offset, bool accumulate,
                             MutableRows out);
  // out = sum of `count` operands, clamped unless `clamp` is null. out may be one of the operands.
  void (*add)(const Region&, const Rows* operands, std::size_t count, const Clamp* clamp, MutableRows out);
  // out (+)= x * factor.
  void (*scale)(const Region&, Rows x, float factor, bool accumulate, MutableRows out);
  // out (+)= zero where y <= 0, else grad.
  void (*relu_backward)(const Region&, Rows grad, Rows y, bool accumulate, MutableRows out);
  // Per channel: sum of a * b over the region.
  void (*dots)(const Region&, Rows a, Rows b, float* sum);
  // Per channel: sum of x over the region.
  void (*sums)(const Region&, Rows x, float* sum);
  // out (+)= (sum of the 3x3 neighbourhood of x) / 9. x has a halo of at least one pixel.
  void (*average3x3)(const Region&, Rows x, bool accumulate, MutableRows out);

  WinogradKernels winograd, strided_winograd;             // for stride 1 and stride 2
  void (*winograd_gradient[2][2])(const WinogradInput&);  // for stride 1

  // Depthwise convolutions of 3x3, 5x5 and 7x7: indexed by [(side - 3) / 2][stride - 1]; then of any window.
  void (*depthwise[3][2])(const DepthwiseRows&);
  void (*depthwise_taps)(const DepthwiseRows&);

  // out[c] = sum over i of x[offsets[i] + c] * weights[i], for `channels` channels, a multiple of 16.
  void (*mix)(const float* x, const std::ptrdiff_t* offsets, const float* weights, std::size_t count,
              std::size_t channels, float* out);
  // y = e^(x - most) / the sum of e^(x - most), where most is the largest x. For logarithms, if `only_sum` is not null:
  // y = x - most, and the sum goes there.
  void (*softmax)(const float* x, std::size_t count, float* y, float* only_sum);

  // A loop of independent FMAs in registers, to measure the machine's peak. Returns the number of floating-point
  // operations.
  double (*fma_peak)(std::size_t iterations);
};

// Tables with the same register width differ only in their integer kernels.
extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvxVnniKernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotKernels;
extern const KernelTable kNeonI8mmKernels;

}  // namespace qarepvgg
