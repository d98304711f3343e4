// Kernels on runs of floats for the ops around convolutions: plain loops that the compiler vectorises for each
// instruction set and never contracts or reassociates. Their bits are the same everywhere, except fused exponentials.
#pragma once

#include <cstddef>

namespace qarepvgg {

// y = f(x). Each formula says what alpha and beta are.
enum class Unary {
  kRelu,         // NaN stays NaN
  kClip,         // from alpha to beta
  kLeakyRelu,    // x < 0: alpha * x
  kSigmoid,      // 1 / (1 + e^-x)
  kSilu,         // x / (1 + e^-x)
  kHardSigmoid,  // alpha * x + beta, clipped to 0..1
  kHardSwish,    // x * hard sigmoid of x with 1/6 and 1/2
  kExp,
  kSqrt,
  kAbs,
  kNeg,
  kReciprocal,
  kFloor,
  kCeil,
  kLog,
  kTanh,
  kErf,
  kSign,
  kSoftplus,  // ln(1 + e^x)
  kSoftsign,  // x / (1 + |x|)
  kElu,       // x < 0: alpha (e^x - 1)
  kSelu,      // beta * x, x < 0: beta * alpha (e^x - 1)
  kMish,      // x tanh(softplus x)
  kGelu,      // x / 2 (1 + erf(x / sqrt 2))
  // Functions without a kernel: computed number by number, with the C++ library (program/ops/unary.cc).
  kRound,  // ties to even
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kAsinh,
  kAcosh,
  kAtanh,
};

struct UnaryFunction {
  Unary kind{};
  float alpha = 0, beta = 0;
  // The result is then multiplied by `scale`, plus `shift`.
  float scale = 1, shift = 0;

  bool is_scaled() const { return scale != 1 || shift != 0; }
  bool has_kernel() const { return kind < Unary::kRound; }
  // Whether it only bounds numbers, and the bounds leave zero as it is.
  bool is_clamp() const {
    const bool is_clip = kind == Unary::kClip && alpha <= 0 && beta >= 0;
    return !is_scaled() && (kind == Unary::kRelu || is_clip);
  }
  // Whether f(0) = 0, so that the padding lanes of a map stay zero.
  bool keeps_zero() const;
};

// y = f(a, b). Minimum and maximum are NaN if an operand is.
enum class Binary { kAdd, kSub, kMul, kDiv, kMin, kMax, kPrelu };

// What numbers are reduced to, in double. Maximum and minimum are NaN if a number is.
enum class Fold { kSum, kSumOfAbs, kSumOfSquares, kMax, kMin };

// A row of pixels, `step` floats apart.
struct PixelRow {
  const float* data;
  std::ptrdiff_t step;
};

// Kernels of 3x3 for `lanes` output channels (4, 8 or 16), `step` floats apart -> out[point * p + lane] for the 36
// points p of Winograd's algorithm. Computed in double and rounded once. `turned`: by 180 degrees. `strided`: for
// stride 2.
struct WinogradWeights {
  const float* weight;
  std::size_t step;
  float* out;
  std::size_t point;
  int lanes;
  bool turned, strided;
};

// A line to normalise: x -> (x - mean) / sqrt(variance + epsilon) * scale + shift.
struct NormalizedLine {
  const float* x;
  std::size_t count;
  float epsilon;
  const float *scale, *shift;  // or null
  bool are_single;             // a number each, rather than one for each element
  float* y;                    // not x
};

struct TensorKernels {
  // y may be x. Only for functions with a kernel, like `activate`.
  void (*unary)(const UnaryFunction& f, const float* x, std::size_t count, float* y);
  // y[p][c] = f(y[p][c]), pixels `step` floats apart.
  void (*activate)(const UnaryFunction& f, std::size_t pixels, std::size_t channels, float* y, std::ptrdiff_t step);
  // An operand whose `is_one` is true is a single number. y may be an operand.
  void (*binary)(Binary kind, const float* a, bool a_is_one, const float* b, bool b_is_one, std::size_t count,
                 float* y);
  // y[p][c] = max(y[p][c], x[p * step + c]); NaN stays NaN.
  void (*pixel_max)(PixelRow x, std::size_t pixels, std::size_t channels, float* y, std::ptrdiff_t y_step);
  // y[p][c] += x[p * step + c] * factor
  void (*pixel_add)(PixelRow x, std::size_t pixels, std::size_t channels, float factor, float* y,
                    std::ptrdiff_t y_step);
  // y = a * (1 - t) + b * t, as a + (b - a) * t.
  void (*lerp)(const float* a, const float* b, float t, std::size_t count, float* y);
  // y = e^(x - most), which is added to `sum`. y may be x.
  void (*exp_add)(const float* x, const float* most, std::size_t count, float* y, double* sum);
  // y = y * factor, computed in double and rounded once.
  void (*times)(const double* factor, std::size_t count, float* y);
  // y[i] = the fold of y[i] and x[i].
  void (*fold_rows)(Fold kind, const float* x, std::size_t count, double* y);
  // Returns the fold of `start` and all x.
  double (*fold_line)(Fold kind, const float* x, std::size_t count, double start);
  void (*normalize)(const NormalizedLine& line);
  void (*winograd_weights)(const WinogradWeights& call);
};

extern const TensorKernels kScalarTensorKernels;
extern const TensorKernels kAvx2TensorKernels;
extern const TensorKernels kAvx512TensorKernels;

}  // namespace qarepvgg
