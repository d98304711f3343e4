// The integer half of the contract between ops and micro-kernels.
//
// Activations are numbers from 0 to 255, channels last, with channels padded to a multiple of 16. An instruction set
// that multiplies bytes keeps them in bytes, the others in 16-bit words: an element has `element_bytes`. Reductions go
// in steps of 32 bits, which are four bytes or two words of consecutive channels; the weights of a step are one 32-bit
// lane for each output channel. Sums are exact modulo 2^32. Strides are in bytes unless another unit is named.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

inline constexpr int kMaxTileRows = 14;
inline constexpr int kMaxTileVectors = 3;

// From a sum to an output: x = float(sum) * scale, clamped to [low, high]; then x itself, or x rounded to the nearest
// whole number (ties to even) plus the zero point. In the latter case `low` is a whole number, and `high` plus the zero
// point is 255.
struct Requantize {
  const float* scale;  // for each lane
  float low, high;
  std::int32_t zero_point;
  bool floats;  // stores x itself
  bool small;   // scales are below 1, so that x fits into 32 bits
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
  // For conv_prefetch: memory that the next tiles will stream. Each step prefetches a cache line of it.
  const std::byte* prefetch;
};

// Products of 16-bit words for Winograd: out[m][lane] = sum over steps k and the two words e of a step of
//   input[m * input_pixel + 2 * k + e] * weights[k][lane][e]
struct IntegerProductTile {
  const std::int16_t* input;
  std::ptrdiff_t input_pixel;  // in words
  std::size_t steps;
  const std::int16_t* weights;  // [steps][NV * lanes][2]
  std::int32_t* out;            // [MR][NV * lanes]
  // Memory that the next tiles will stream. Each step prefetches NV cache lines and advances by prefetch_step words.
  const std::int16_t* prefetch;
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
// magnitude below 2^25. The transform computes 576 = 9 * 64 times a sum modulo 2^32; multiplying by the inverse of 9
// divides it by 9, and an arithmetic shift divides it by 64.
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
// The taps are rows and columns of pixels for 3x3 and 5x5, and those of the list otherwise. Sums without start stay
// below 2^22. Weights are whole numbers in floats, [tap][channels].
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
  std::size_t pixels, channels;  // channels: a multiple of 16
};

// The same with dots of bytes, for 3x3 and 5x5: a dot adds the taps of a column of four input rows. A block is 4 *
// lanes bytes of neighbouring elements, which may belong to several pixels. Four vectors of 32-bit numbers hold it, in
// this order: each 16 bytes of the block are the same 128 bits of the four vectors. Kernels compute one block of one or
// two output rows, then the one `step` bytes further in the input, and so on.
struct IntegerDepthwiseBlocks {
  const std::byte* input;
  std::ptrdiff_t input_row, pixel, step;
  // [output row][four input rows][column][vector], `weight_vector` bytes apart: four signed bytes for each lane.
  const std::byte* weights;
  std::ptrdiff_t weight_vector;
  const std::int32_t* start;  // [vector][lane]
  Requantize store;           // its scales: [vector][lane]
  std::byte* out;
  std::ptrdiff_t out_row, out_step;
  std::size_t blocks;
  std::byte* scratch;  // kDepthwiseScratch vectors
};
inline constexpr std::size_t kDepthwiseScratch = 2 + 5 * 8;

// x / scale, clamped to [low, high], rounded as above, plus the zero point. NaN becomes low.
struct QuantizeParameters {
  float scale, low, high;
  std::int32_t zero_point;
};

// A function of two integers, computed from the numbers that they represent, as an integer again.
//   add: round(a * scale_a + (b * scale_b + fixed)), each product and its sum rounded once
//   mul: round((a - zero_a) * (b - zero_b) * scale_a + fixed)
//   sub: (a - zero_a) * scale_a - (b - zero_b) * scale_b, quantised by `to`
// All of them are clamped to [0, 255] before they are rounded.
enum class IntegerBinaryKind { kAdd, kMul, kSub };
struct IntegerBinary {
  float scale_a, scale_b, fixed;
  std::int32_t zero_a, zero_b;
  QuantizeParameters to;  // for sub
};

// Applies a table of 256 to a row of pixels: out[p][c] = table[x[p][c]]. out may be x.
struct LookUpRow {
  const std::uint8_t* table;
  const std::byte* x;
  std::ptrdiff_t x_pixel;
  std::byte* out;
  std::ptrdiff_t out_pixel;
  std::size_t pixels, channels;
};

// Indexed by [two rows instead of four][two columns instead of four].
struct IntegerWinogradKernels {
  void (*input[2][2])(const IntegerWinogradInput&);
  void (*output[2][2])(const IntegerWinogradOutput&);
};

struct IntegerKernels {
  int lanes;  // 32-bit numbers in a vector
  int element_bytes;
  std::int32_t conv_offset;  // 128 if bytes are multiplied as signed ones, else 0
  // Largest MR for a tile of NV vectors, indexed by NV - 1.
  int max_rows[kMaxTileVectors];
  // Indexed by [NV - 1][MR - 1].
  void (*conv[kMaxTileVectors][kMaxTileRows])(const IntegerTile&);
  void (*conv_prefetch[kMaxTileVectors][kMaxTileRows])(const IntegerTile&);
  void (*products[kMaxTileVectors][kMaxTileRows])(const IntegerProductTile&);
  IntegerWinogradKernels winograd;

  // For 3x3 and 5x5, indexed by [5x5][stride - 1], null where there are some with dots; then for any window.
  void (*depthwise[2][2])(const IntegerDepthwiseRow&);
  void (*depthwise_taps)(const IntegerDepthwiseRow&);
  // For 3x3 and 5x5. Null on instruction sets without dots of unsigned and signed bytes.
  struct DepthwiseDots {
    void (*any[2])(const IntegerDepthwiseBlocks&);  // stride 1, indexed by [output rows - 1]
    // The step is one output pixel: neighbouring blocks share columns. Indexed by [stride - 1][output rows - 1]; with
    // stride 2 there is one row.
    void (*pixels[2][2])(const IntegerDepthwiseBlocks&);
  } depthwise_dots[2];

  // Between floats and elements, (element - zero point) * scale. count: a multiple of 16.
  void (*quantize)(const float* x, std::size_t count, const QuantizeParameters&, std::byte* out);
  void (*dequantize)(const std::byte* x, std::size_t count, float scale, std::int32_t zero_point, float* out);
  // Quantises a line of pixels whose channels are in planes, as many as a step has elements. out: one step for each
  // pixel. A plane may be null; its elements are then zero.
  void (*quantize_planes)(const float* const* planes, std::size_t pixels, const QuantizeParameters&, std::byte* out);
  // sum[c] = sum of the elements of channel c over a rectangle of pixels. channels: a multiple of 16.
  void (*channel_sums)(const std::byte* x, std::size_t rows, std::size_t pixels, std::ptrdiff_t row,
                       std::ptrdiff_t pixel, std::size_t channels, std::int32_t* sum);

  // Indexed by IntegerBinaryKind. count: a multiple of 16. out may be a or b.
  void (*binary[3])(const IntegerBinary&, const std::byte* a, const std::byte* b, std::size_t count, std::byte* out);
  void (*look_up)(const LookUpRow&);

  // A loop of independent multiply-add steps of `conv` in registers, to measure the machine's peak. Returns the number
  // of multiplications and additions.
  double (*dot_peak)(std::size_t iterations);
};

// For elements of one byte.
void look_up_avx512vbmi(const LookUpRow& row);

extern const IntegerKernels kScalarIntegerKernels;
extern const IntegerKernels kAvx2IntegerKernels;
extern const IntegerKernels kAvxVnniIntegerKernels;
extern const IntegerKernels kAvx512IntegerKernels;
extern const IntegerKernels kAvx512VnniIntegerKernels;
extern const IntegerKernels kNeonIntegerKernels;
extern const IntegerKernels kNeonDotIntegerKernels;
extern const IntegerKernels kNeonI8mmIntegerKernels;

}  // namespace qarepvgg
