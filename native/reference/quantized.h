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

Tensor quantized_global_average(const Tensor& q, const Quantized& from, const Quantized& to);

}  // namespace qarepvgg::reference
