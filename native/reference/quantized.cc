#include "reference/quantized.h"

#include <algorithm>
#include <cmath>

namespace qarepvgg::reference {
namespace {

// A sum times its scale, as float arithmetic has it, to an integer. std::nearbyint takes ties to even.
double requantize(std::int64_t sum, float scale, const Quantized& to, bool relu) {
  float x = static_cast<float>(static_cast<std::int32_t>(sum)) * scale;
  if (relu) x = std::max(x, 0.0f);
  x = std::min(std::max(x, static_cast<float>(0 - to.zero_point)), static_cast<float>(255 - to.zero_point));
  return static_cast<double>(std::nearbyint(x)) + to.zero_point;
}

}  // namespace

Tensor quantize(const Tensor& x, const Quantized& to) {
  Tensor q(x.dims);
  for (std::size_t i = 0; i < x.data.size(); ++i) {
    const float value = static_cast<float>(x.data[i]) / to.scale;
    const double whole = static_cast<double>(std::nearbyint(value)) + to.zero_point;
    q.data[i] = std::isnan(value) ? 0 : std::min(std::max(whole, 0.0), 255.0);
  }
  return q;
}

Tensor dequantize(const Tensor& q, const Quantized& from) {
  Tensor x(q.dims);
  for (std::size_t i = 0; i < q.data.size(); ++i) {
    const float value = static_cast<float>(q.data[i] - from.zero_point) * from.scale;
    x.data[i] = static_cast<double>(value);
  }
  return x;
}

Tensor quantized_convolve(const Tensor& q, const QuantizedConvolution& op) {
  const Convolution& conv = op.conv;
  Tensor y(conv.output(q.dims));
  const std::size_t depth = q.dims.c / conv.groups, out_per_group = conv.out_channels / conv.groups;
  for_each_element(y.dims, [&](std::size_t n, std::size_t out, std::size_t row, std::size_t column) {
    std::int64_t sum = op.bias[out];
    std::size_t at = out * depth * conv.kernel * conv.kernel;
    for (std::size_t k = 0; k < depth; ++k)
      for (std::size_t ky = 0; ky < conv.kernel; ++ky)
        for (std::size_t kx = 0; kx < conv.kernel; ++kx, ++at) {
          const auto position = [&](std::size_t o, std::size_t tap) {
            return static_cast<std::ptrdiff_t>(o * conv.stride + tap * conv.dilation) -
                   static_cast<std::ptrdiff_t>(conv.padding);
          };
          const std::ptrdiff_t in_y = position(row, ky), in_x = position(column, kx);
          if (!q.inside(in_y, in_x)) continue;  // padding is zero
          const double value = q.padded(n, out / out_per_group * depth + k, in_y, in_x);
          sum += (static_cast<std::int64_t>(value) - op.from.zero_point) * op.weight[at];
        }
    const float product = op.from.scale * op.weight_scale[out];
    if (op.to) {
      y.at(n, out, row, column) = requantize(sum, product / op.to->scale, *op.to, op.relu);
    } else {
      const float x = static_cast<float>(static_cast<std::int32_t>(sum)) * product;
      y.at(n, out, row, column) = static_cast<double>(op.relu ? std::max(x, 0.0f) : x);
    }
  });
  return y;
}

Tensor quantized_global_average(const Tensor& q, const Quantized& from, const Quantized& to) {
  Tensor y(Dims{q.dims.n, q.dims.c, 1, 1});
  const std::size_t pixels = q.dims.h * q.dims.w;
  const float scale = from.scale / (to.scale * static_cast<float>(pixels));
  for (std::size_t i = 0; i < y.data.size(); ++i) {
    std::int64_t sum = 0;
    for (std::size_t p = 0; p < pixels; ++p) sum += static_cast<std::int64_t>(q.data[i * pixels + p]) - from.zero_point;
    y.data[i] = requantize(sum, scale, to, false);
  }
  return y;
}

}  // namespace qarepvgg::reference
