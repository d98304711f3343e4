// Quantised ops by definition (ONNX QuantizeLinear, DequantizeLinear, QLinearConv, QLinearGlobalAveragePool), with the
// roundings of onnxruntime's fused kernels in their order. Integers are held as doubles that are whole.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reference/convolution.h"
#include "reference/tensor.h"

namespace qarepvgg::reference {

// q stands for (q - zero_point) * scale.
struct Quantized {
  float scale;
  int zero_point;
};

// NaN becomes the smallest integer, 0.
Tensor quantize(const Tensor& x, const Quantized& to);
Tensor dequantize(const Tensor& q, const Quantized& from);

// weight: [out][in / groups][kernel][kernel]; bias and weight_scale: [out]. Padding is the zero point. Without `to` the
// result is floats.
struct QuantizedConvolution {
  Convolution conv;
  Quantized from;
  std::optional<Quantized> to;
  bool relu;
  std::vector<std::int8_t> weight;
  std::vector<std::int32_t> bias;
  std::vector<float> weight_scale;
};
Tensor quantized_convolve(const Tensor& q, const QuantizedConvolution& op);

// The same with any window, and transposed: every product of a pixel of the small side with a tap comes from, or goes
// to, a pixel of the large side. table: what integers become after that; empty for none.
struct QuantizedWindow {
  struct Side {
    std::size_t kernel, stride, before, dilation;
  };
  Dims out;
  std::size_t groups;
  Side y, x;
  bool transposed;
  Quantized from;
  std::optional<Quantized> to;
  bool relu;
  std::vector<std::int8_t> weight;  // [out][in / groups][kernel y][kernel x]
  std::vector<std::int32_t> bias;
  std::vector<float> weight_scale;
  std::vector<std::uint8_t> table;
};
Tensor quantized_convolve(const Tensor& q, const QuantizedWindow& op);

// onnxruntime's QLinearAdd and QLinearMul on x86-64, and DequantizeLinear, Sub, QuantizeLinear. b: the dims of a, but 1
// for some. In a sum of floats the last operand of QLinearAdd is added first.
enum class QuantizedBinary { kAdd, kMul, kSub };
Tensor quantized_binary(QuantizedBinary kind, const Tensor& a, const Quantized& from_a, const Tensor& b,
                        const Quantized& from_b, const Quantized& to);

// Of the pixels of a window that lie inside the image: the largest, or their mean, added row by row as floats.
struct QuantizedPool {
  Dims out;
  QuantizedWindow::Side y, x;
  bool is_max;
  Quantized from, to;
};
Tensor quantized_pool(const Tensor& q, const QuantizedPool& op);

Tensor quantized_global_average(const Tensor& q, const Quantized& from, const Quantized& to);

}  // namespace qarepvgg::reference
