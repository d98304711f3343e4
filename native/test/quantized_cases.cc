#include "test/quantized_cases.h"

#include <algorithm>
#include <cmath>

namespace qarepvgg::test {
namespace {

// Powers of two lead to sums that end exactly between two integers.
double random_scale(Rng& rng, double about) {
  return std::ldexp(rng.chance(0.5) ? 1.0 : rng.uniform(1, 2), std::ilogb(about));
}

}  // namespace

reference::QuantizedConvolution QuantizedCase::reference() const {
  reference::QuantizedConvolution op{
      reference_of(shape), {from.scale(), from.zero_point()}, {}, relu, weights->weight, weights->bias, weights->scale};
  if (to) op.to = reference::Quantized{to->scale(), to->zero_point()};
  return op;
}

Quantization random_quantization(Rng& rng) {
  const std::size_t zero_point = rng.chance(0.4) ? 0 : rng.chance(0.2) ? 255 : rng.between(0, 255);
  return Quantization(random_scale(rng, 0.02), static_cast<double>(zero_point), "a test");
}

reference::Tensor random_integers(Rng& rng, const reference::Dims& dims) {
  reference::Tensor q(dims);
  const std::size_t kind = rng.between(0, 4);
  for (double& value : q.data) {
    const std::size_t drawn = rng.between(0, 255);
    value = static_cast<double>(kind == 0 ? 255 : kind == 1 ? drawn / 128 * 255 : drawn);
  }
  return q;
}

QuantizedCase random_quantized_case(Rng& rng, const ConvShape& shape, const Quantization& from, bool small) {
  QuantizedWeights weights;
  const std::size_t terms = shape.weight_elements() / shape.out_c;
  // 0: the largest weight only; 1: the largest and the smallest; else any.
  const std::size_t kind = small ? 2 : rng.between(0, 4);
  const int limit = small ? std::min(127, static_cast<int>(120000 / terms)) : 127;
  double largest = 1;
  for (std::size_t out = 0; out < shape.out_c; ++out) {
    const int sign = rng.chance(0.5) ? 127 : -128;
    for (std::size_t i = 0; i < terms; ++i) {
      const int drawn = rng.integer(limit);
      weights.weight.push_back(static_cast<std::int8_t>(kind == 0   ? sign
                                                        : kind == 1 ? (drawn < 0 ? -128 : 127)
                                                                    : drawn));
    }
    const std::int64_t sum = largest_sum(weights.weight.data() + out * terms, terms);
    largest = std::max(largest, static_cast<double>(sum));
    weights.bias.push_back(rng.integer(static_cast<int>(std::min<std::int64_t>(sum, 1 << 30))));
    weights.scale.push_back(static_cast<float>(random_scale(rng, 0.01)));
  }
  // With one scale for all weights, the output scale can be a power of two times the product of the other two in float.
  // Many sums then end exactly between two integers, but only if the scales are combined in the right order.
  const bool ties = rng.chance(0.3);
  if (ties) std::fill(weights.scale.begin(), weights.scale.end(), weights.scale.front());
  const float product = from.scale() * weights.scale.front();
  QuantizedCase c{shape, from, {}, rng.chance(0.4), std::make_shared<QuantizedWeights>(std::move(weights))};
  if (rng.chance(0.8)) {
    // Most outputs are inside the range, because most sums are much smaller than the largest possible one.
    const double about = largest * static_cast<double>(from.scale()) * 0.01 / rng.uniform(100, 5000);
    // A factor above 1 takes products beyond 32 bits.
    const bool large = rng.chance(0.1);
    const double scale = large  ? random_scale(rng, static_cast<double>(product) / 300)
                         : ties ? std::ldexp(static_cast<double>(product), static_cast<int>(rng.between(1, 12)))
                                : random_scale(rng, about);
    c.to = Quantization(scale, static_cast<double>(random_quantization(rng).zero_point()), "a test");
  }
  return c;
}

std::string describe(const QuantizedCase& c) {
  return text_of(
      c.shape, ", from zero point ", static_cast<int>(c.from.zero_point()), " to ",
      c.to ? text_of("scale ", c.to->scale(), ", zero point ", static_cast<int>(c.to->zero_point())) : "floats",
      c.relu ? ", ReLU" : "");
}

}  // namespace qarepvgg::test
