#include "reference/quantized.h"

#include <algorithm>
#include <cmath>

namespace qarepvgg::reference {
namespace {

// A sum times its scale, in float arithmetic, rounded to an integer. std::nearbyint rounds ties to even.
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
  const QuantizedWindow::Side side{conv.kernel, conv.stride, conv.padding, conv.dilation};
  return quantized_convolve(q, QuantizedWindow{conv.output(q.dims),
                                               conv.groups,
                                               side,
                                               side,
                                               false,
                                               op.from,
                                               op.to,
                                               op.relu,
                                               op.weight,
                                               op.bias,
                                               op.weight_scale,
                                               {}});
}

Tensor quantized_convolve(const Tensor& q, const QuantizedWindow& op) {
  Tensor y(op.out);
  const std::size_t depth = q.dims.c / op.groups, width = op.out.c / op.groups, taps = op.y.kernel * op.x.kernel;
  const Dims &small = op.transposed ? q.dims : op.out, &large = op.transposed ? op.out : q.dims;
  std::vector<std::int64_t> sums(large.h * large.w);
  for (std::size_t n = 0; n < y.dims.n; ++n)
    for (std::size_t out = 0; out < y.dims.c; ++out) {
      sums.assign(y.dims.h * y.dims.w, op.bias[out]);
      for (std::size_t k = 0; k < depth; ++k)
        for (std::size_t t = 0; t < taps; ++t)
          for (std::size_t p = 0; p < small.h * small.w; ++p) {
            // Positions before the image wrap around to huge numbers, which are no pixels; padding is zero.
            const std::size_t row = p / small.w * op.y.stride + t / op.x.kernel * op.y.dilation - op.y.before;
            const std::size_t column = p % small.w * op.x.stride + t % op.x.kernel * op.x.dilation - op.x.before;
            if (row >= large.h || column >= large.w) continue;
            const std::size_t at = row * large.w + column, from = op.transposed ? p : at, to = op.transposed ? at : p;
            const double value = q.data[(n * q.dims.c + out / width * depth + k) * q.dims.h * q.dims.w + from];
            sums[to] +=
                (static_cast<std::int64_t>(value) - op.from.zero_point) * op.weight[(out * depth + k) * taps + t];
          }
      const float product = op.from.scale * op.weight_scale[out];
      for (std::size_t i = 0; i < sums.size(); ++i) {
        double& result = y.data[(n * y.dims.c + out) * sums.size() + i];
        if (op.to) {
          result = requantize(sums[i], product / op.to->scale, *op.to, op.relu);
          if (!op.table.empty()) result = op.table[static_cast<std::size_t>(result)];
        } else {
          const float x = static_cast<float>(static_cast<std::int32_t>(sums[i])) * product;
          result = static_cast<double>(op.relu ? std::max(x, 0.0f) : x);
        }
      }
    }
  return y;
}

Tensor quantized_binary(QuantizedBinary kind, const Tensor& a, const Quantized& from_a, const Tensor& b,
                        const Quantized& from_b, const Quantized& to) {
  Tensor y(a.dims);
  const float zero_a = static_cast<float>(from_a.zero_point), zero_b = static_cast<float>(from_b.zero_point);
  const float zero = static_cast<float>(to.zero_point);
  const float ratio_a = from_a.scale / to.scale, ratio_b = from_b.scale / to.scale;
  const float ratio = from_a.scale * from_b.scale / to.scale;
  for_each_element(y.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    const auto of_b = [](std::size_t index, std::size_t count) { return count == 1 ? 0 : index; };
    const float p = static_cast<float>(a.at(n, c, row, column));
    const float q =
        static_cast<float>(b.at(of_b(n, b.dims.n), of_b(c, b.dims.c), of_b(row, b.dims.h), of_b(column, b.dims.w)));
    float x;
    if (kind == QuantizedBinary::kAdd) {
      const float fixed = zero - std::fma(ratio_a, zero_a, ratio_b * zero_b);
      x = std::fma(p, ratio_a, std::fma(q, ratio_b, fixed));
    } else if (kind == QuantizedBinary::kMul) {
      x = (p - zero_a) * (q - zero_b) * ratio + zero;
    } else {
      x = std::nearbyint(((p - zero_a) * from_a.scale - (q - zero_b) * from_b.scale) / to.scale) + zero;
    }
    y.at(n, c, row, column) = static_cast<double>(std::min(std::max(std::nearbyint(x), 0.0f), 255.0f));
  });
  return y;
}

Tensor quantized_pool(const Tensor& q, const QuantizedPool& op) {
  Tensor y(op.out);
  for_each_element(y.dims, [&](std::size_t n, std::size_t c, std::size_t row, std::size_t column) {
    float sum = 0;
    double most = 0;
    int count = 0;
    for (std::size_t ky = 0; ky < op.y.kernel; ++ky)
      for (std::size_t kx = 0; kx < op.x.kernel; ++kx) {
        const std::size_t in_y = row * op.y.stride + ky * op.y.dilation - op.y.before;
        const std::size_t in_x = column * op.x.stride + kx * op.x.dilation - op.x.before;
        if (in_y >= q.dims.h || in_x >= q.dims.w) continue;
        const double value = q.at(n, c, in_y, in_x);
        most = std::max(most, value);
        sum += op.from.scale * static_cast<float>(static_cast<int>(value) - op.from.zero_point);
        ++count;
      }
    const float mean = sum / static_cast<float>(std::max(count, 1));
    const float steps = std::nearbyint(mean / op.to.scale + static_cast<float>(op.to.zero_point));
    y.at(n, c, row, column) = op.is_max ? most : static_cast<double>(std::min(std::max(steps, 0.0f), 255.0f));
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
