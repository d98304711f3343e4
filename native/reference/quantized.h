// Quantised ops by definition (ONNX QuantizeLinear, DequantizeLinear, QLinearConv, QLinearGlobalAveragePool), with the
// roundings of onnxruntime's fused kernels in their order. Integers are whole numbers in double.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reference/convolution.h"
#include "reference/tensor.h"

namespace qarepvgg::reference {

// q represents (q - zero_point) * scale.
struct Quantized {
  float scale;
  int zero_point;
};

// NaN becomes the smallest integer, 0.
Tensor quantize(const Tensor& x, const Quantized& to);
Tensor dequantize(const Tensor& q, const Quantized& from);

// weight: [out][in / groups][kernel][kernel]; bias and weight_scale: [out]. Padding is the zero point. Without `to` the
// output is floats.
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

// The same with any window, also transposed: every product of a pixel of the small side with a tap comes from, or goes
// to, a pixel of the large side. table: applied to the integers; may be empty.
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

// onnxruntime's QLinearAdd and QLinearMul on x86-64, and DequantizeLinear, Sub, QuantizeLinear. b has the dims of a,
// some of them replaced by 1. QLinearAdd adds its last operand first.
enum class QuantizedBinary { kAdd, kMul, kSub };
Tensor quantized_binary(QuantizedBinary kind, const Tensor& a, const Quantized& from_a, const Tensor& b,
                        const Quantized& from_b, const Quantized& to);

// The largest, or the mean, of the pixels of a window that are inside the image. The mean adds floats row by row.
struct QuantizedPool {
  Dims out;
  QuantizedWindow::Side y, x;
  bool is_max;
  Quantized from, to;
};
Tensor quantized_pool(const Tensor& q, const QuantizedPool& op);

Tensor quantized_global_average(const Tensor& q, const Quantized& from, const Quantized& to);

}  // namespace qarepvgg::reference
