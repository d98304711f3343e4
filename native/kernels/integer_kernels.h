// The integer half of the contract between ops and micro-kernels.
//
// Activations are numbers from 0 to 255, channels-last, the channel count padded to a multiple of 16. An instruction
// set that multiplies bytes keeps them in bytes, another in 16-bit words: an element has `element_bytes`. Reductions go
// in steps of 32 bits, that is four bytes or two words of consecutive channels; weights of a step are one 32-bit lane
// per output channel. Sums are exact modulo 2^32. All strides are counted in bytes unless another unit is named.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

inline constexpr int kMaxTileRows = 14;
inline constexpr int kMaxTileVectors = 3;

// From a sum to what is stored: x = float(sum) * scale, clamped to [low, high]; then x itself, or x rounded to the
// nearest whole number (ties to even) plus the zero point.
struct Requantize {
  const float* scale;  // per lane
  float low, high;
  std::int32_t zero_point;
  bool floats;  // stores x itself
};

// One tile of an integer convolution, accumulated in registers over the whole reduction:
//   sum[m][lane] = start[lane] + sum over taps t, steps k and the elements e of a step of
//     (input[m * input_pixel + taps[t] + 4 * k][e] - conv_offset) * weights[t][k][lane][e]
struct IntegerTile {
  const std::byte* input;
  std::ptrdiff_t input_pixel;
  const std::ptrdiff_t* taps;
  std::size_t tap_count;
  std::size_t steps;         // of each tap, >= 1
  const std::byte* weights;  // [tap_count][steps][NV * lanes] of 32 bits
  const std::int32_t* start;
  Requantize store;
  std::byte* out;
  std::ptrdiff_t out_pixel;
  std::size_t valid;  // lanes to store, 1..NV * lanes
  // For conv_prefetch: memory that the next tiles will stream, asked for while this one computes, a cache line in each
  // step.
  const std::byte* prefetch;
};

// Products of 16-bit words for Winograd: out[m][lane] = sum over steps k and the two words e of a step of
//   input[m * input_pixel + 2 * k + e] * weights[k][lane][e]
struct ProductTile {
  const std::int16_t* input;
  std::ptrdiff_t input_pixel;  // in words
  std::size_t steps;
  const std::int16_t* weights;  // [steps][NV * lanes][2]
  std::int32_t* out;            // [MR][NV * lanes]
  // Memory that the next tiles will stream, asked for while this one computes. Each step asks for NV cache lines and
  // moves on by prefetch_step bytes.
  const std::byte* prefetch;
  std::size_t prefetch_step;
};

// Winograd F(4x4, 3x3) in whole numbers, with the points 0, 1, -1, 2, -2, infinity, and the nested F(2, 3) on the
// points 0, 1, -1, infinity for a last tile of two pixels. Numbered as in FP32 (kernels/kernel_table.h).
// 6x6 (4x6, 6x4, 4x4) input pixels -> the points that the tile has. Transformed inputs stay below 2^15.
struct IntegerWinogradInput {
  const std::byte* in;
  std::ptrdiff_t pixel, row;
  std::int16_t* out;     // [point][channels]
  std::ptrdiff_t point;  // in words
  std::size_t channels;  // a multiple of 16
};

// Products at the points -> 4x4 (2x4, 4x2, 2x2) sums, plus start, then stored. Exact for sums (without start) of a
// magnitude below 2^25: their multiple by 576 = 9 * 64 is known modulo 2^32, so it is divided by 9 through the inverse
// of 9, and by 64 through an arithmetic shift.
struct IntegerWinogradOutput {
  const std::int32_t* in;  // [point][channels]
  std::ptrdiff_t point;    // in 32-bit numbers
  const std::int32_t* start;
  Requantize store;
  std::byte* out;
  std::ptrdiff_t pixel, row;
  std::size_t channels;  // a multiple of the lanes
};

// A row of output pixels of a depthwise convolution: sum[p][c] = start[c] + sum over taps t of
//   input[p * stride + tap t][c] * weights[t][c]
// where a kernel's own taps are rows and columns of pixels, and others those of the list. Sums without start stay below
// 2^22. Weights are whole numbers in floats, [tap][channels]; of kernels of dots they are signed bytes,
// [four rows of taps][column][channels][row], where rows that the window does not have are zero.
struct IntegerDepthwiseRow {
  const std::byte* input;
  std::ptrdiff_t input_row, pixel;
  std::ptrdiff_t stride;       // from one output pixel to the next, in the input
  const std::ptrdiff_t* taps;  // offsets into the input
  std::size_t tap_count;
  const std::byte* weights;
  const std::int32_t* start;
  Requantize store;
  std::byte* out;
  std::ptrdiff_t out_pixel;
  std::size_t pixels, channels;  // the latter a multiple of 16
};

// x / scale, clamped to [low, high], rounded as above, plus the zero point. NaN counts as low.
struct QuantizeParameters {
  float scale, low, high;
  std::int32_t zero_point;
};

// Of two integers, each less its zero point and times its scale, as an integer again.
//   add: round(a * scale_a + (b * scale_b + fixed)), each product and its sum rounded once
//   mul: round((a - zero_a) * (b - zero_b) * scale_a + fixed)
//   sub: (a - zero_a) * scale_a - (b - zero_b) * scale_b as `quantize` has it
// all of them clamped to [0, 255] before they are rounded.
enum class IntegerBinaryKind { kAdd, kMul, kSub };
struct IntegerBinary {
  float scale_a, scale_b, fixed;
  std::int32_t zero_a, zero_b;
  QuantizeParameters to;  // of a difference
};

// Elements of a row of pixels through a table of 256: out[p][c] = table[x[p][c]]. out may be x.
struct LookUpRow {
  const std::uint8_t* table;
  const std::byte* x;
  std::ptrdiff_t x_pixel;
  std::byte* out;
  std::ptrdiff_t out_pixel;
  std::size_t pixels, channels;
};

struct IntegerKernels {
  int lanes;  // 32-bit numbers in a vector
  int element_bytes;
  std::int32_t conv_offset;  // 128 where the products are of signed bytes, else 0
  // Largest MR for a tile of NV vectors, indexed by NV - 1.
  int max_rows[kMaxTileVectors];
  // Indexed by [NV - 1][MR - 1].
  void (*conv[kMaxTileVectors][kMaxTileRows])(const IntegerTile&);
  void (*conv_prefetch[kMaxTileVectors][kMaxTileRows])(const IntegerTile&);
  void (*products[kMaxTileVectors][kMaxTileRows])(const ProductTile&);
  // Indexed by [two rows instead of four][two columns instead of four].
  void (*winograd_input[2][2])(const IntegerWinogradInput&);
  void (*winograd_output[2][2])(const IntegerWinogradOutput&);

  // 3x3 and 5x5, indexed by [5x5][stride - 1]; and any window.
  void (*depthwise[2][2])(const IntegerDepthwiseRow&);
  bool depthwise_dots;  // of the former
  void (*depthwise_taps)(const IntegerDepthwiseRow&);

  // Elements, a multiple of 16 of them, from floats and back: (element - zero point) * scale.
  void (*quantize)(const float* x, std::size_t count, const QuantizeParameters&, std::byte* out);
  void (*dequantize)(const std::byte* x, std::size_t count, float scale, std::int32_t zero_point, float* out);
  // A line of pixels whose channels lie in planes, as many planes as a step has elements: out has one step per pixel.
  // A plane may be null: its elements are then zero.
  void (*quantize_planes)(const float* const* planes, std::size_t pixels, const QuantizeParameters&, std::byte* out);
  // sum[c] = sum of the elements of channel c over a rectangle of pixels. channels: a multiple of 16.
  void (*channel_sums)(const std::byte* x, std::size_t rows, std::size_t pixels, std::ptrdiff_t row,
                       std::size_t channels, std::int32_t* sum);

  // Of elements, a multiple of 16 of them, indexed by IntegerBinaryKind. out may be a or b.
  void (*binary[3])(const IntegerBinary&, const std::byte* a, const std::byte* b, std::size_t count, std::byte* out);
  void (*look_up)(const LookUpRow&);

  // Register-only loop of independent multiply-accumulate steps of `conv`: the machine's peak. Returns multiplications
  // and additions done.
  double (*dot_peak)(std::size_t iterations);
};

extern const IntegerKernels kScalarIntegerKernels;
extern const IntegerKernels kAvx2IntegerKernels;
extern const IntegerKernels kAvxVnniIntegerKernels;
extern const IntegerKernels kAvx512IntegerKernels;
extern const IntegerKernels kAvx512VnniIntegerKernels;
extern const IntegerKernels kNeonIntegerKernels;
extern const IntegerKernels kNeonDotIntegerKernels;
extern const IntegerKernels kNeonI8mmIntegerKernels;

}  // namespace qarepvgg
