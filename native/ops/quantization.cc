#include "ops/quantization.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "kernels/dispatch.h"

namespace qarepvgg {
namespace {

constexpr std::int64_t kLargest = 255;

void check_scale(double scale, const char* what, const std::string& where) {
  const float value = static_cast<float>(scale);
  if (!(value > 0) || !std::isnormal(value))
    fail(code::kQuantParam, where, ": expected ", what, " to be a positive normal float, received ", scale);
}

}  // namespace

Quantization::Quantization(double scale, double zero_point, const std::string& where) {
  check_scale(scale, "a scale", where);
  if (!(zero_point >= 0 && zero_point <= kLargest) || zero_point != std::floor(zero_point))
    fail(code::kQuantParam, where, ": expected a zero point to be a whole number from 0 to 255, received ", zero_point);
  scale_ = static_cast<float>(scale);
  zero_point_ = static_cast<std::uint8_t>(zero_point);
}

QuantizeParameters Quantization::parameters() const {
  const int zero = zero_point_;
  return {scale_, static_cast<float>(-zero), static_cast<float>(255 - zero), zero};
}

std::int64_t largest_sum(const std::int8_t* weight, std::size_t count) {
  std::int64_t positive = 0, negative = 0;
  for (std::size_t i = 0; i < count; ++i) (weight[i] > 0 ? positive : negative) += weight[i];
  return kLargest * std::max(positive, -negative);
}

void check_weights(const QuantizedWeights& weights, std::size_t out_c, std::size_t terms, const std::string& where) {
  const std::size_t count = checked_mul(out_c, terms);
  if (weights.weight.size() != count)
    fail(code::kBufferSize, where, ": expected ", count, " weights, received ", weights.weight.size());
  if (weights.bias.size() != out_c)
    fail(code::kBufferSize, where, ": expected ", out_c, " biases, received ", weights.bias.size());
  if (weights.scale.size() != out_c)
    fail(code::kQuantParam, where, ": expected ", out_c, " weight scales, one per output channel, received ",
         weights.scale.size());
  for (std::size_t out = 0; out < out_c; ++out) {
    check_scale(static_cast<double>(weights.scale[out]), "a weight scale", where);
    const std::int64_t bias = weights.bias[out];
    const std::int64_t largest = largest_sum(weights.weight.data() + out * terms, terms) + std::abs(bias);
    if (largest > std::numeric_limits<std::int32_t>::max())
      fail(code::kQuantParam, where, ": expected sums below 2^31, received weights of output channel ", out,
           " whose sums can reach ", largest);
  }
}

SumStore::SumStore(const Quantization& input, const std::optional<Quantization>& output, const Activation& activation)
    : input_(input), output_(output), activation_(activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  low_ = output ? output->parameters().low : -kInfinity;
  high_ = output ? output->parameters().high : kInfinity;
  if (const Clamp* clamp = activation.clamp()) {
    low_ = std::max(low_, clamp->low);
    high_ = std::min(high_, clamp->high);
  }
}

// Must be computed in float and in this order, like onnxruntime.
float SumStore::multiplier(float weight_scale) const {
  const float product = input_.scale() * weight_scale;
  return output_ ? product / output_->scale() : product;
}

void SumStore::check(const std::vector<float>& weight_scale, const std::string& where) const {
  for (float scale : weight_scale)
    if (!std::isfinite(multiplier(scale)))
      fail(code::kQuantParam, where, ": expected scales whose quotients are finite, received ", input_.scale(),
           " (input), ", scale, " (weight)", output_ ? " and an output scale that is too small" : "");
}

void SumStore::pack(const QuantizedWeights& weights, std::size_t groups, const Panels& panels, std::int32_t offset,
                    std::int32_t* start, float* scale) {
  const std::size_t padded = panels.padded(), terms = weights.weight.size() / weights.bias.size();
  std::fill_n(start, groups * padded, 0);
  std::fill_n(scale, groups * padded, 0.0f);
  small_ = true;
  for (std::size_t out = 0; out < weights.bias.size(); ++out) {
    const std::size_t lane = out / panels.channels * padded + out % panels.channels;
    // sum of (x - zero point) * w = sum of (x - offset) * w - (zero point - offset) * sum of w. check_weights() bounds
    // the whole, but this part of it may wrap.
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < terms; ++i) sum += weights.weight[out * terms + i];
    start[lane] = static_cast<std::int32_t>(weights.bias[out] - (input_.zero_point() - offset) * sum);
    scale[lane] = multiplier(weights.scale[out]);
    small_ = small_ && scale[lane] < 1;
  }
  start_ = start;
  scale_ = scale;
}

Requantize SumStore::store(std::size_t lane) const {
  return {scale_ + lane, low_, high_, output_ ? output_->zero_point() : 0, !output_, small_};
}

void SumStore::finish(const IntegerKernels& kernels, std::byte* row, std::size_t pixels, std::ptrdiff_t pixel,
                      std::size_t channels, std::size_t) const {
  if (table_ != nullptr) kernels.look_up({table_, row, pixel, row, pixel, pixels, channels});
  if (activation_.then() != nullptr)
    active_kernels().tensor->activate(*activation_.then(), pixels, channels, reinterpret_cast<float*>(row),
                                      pixel / static_cast<std::ptrdiff_t>(sizeof(float)));
}

std::uint8_t SumStore::requantize(std::int32_t sum, float scale) const {
  const float x = std::clamp(static_cast<float>(sum) * scale, low_, high_);
  return static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(x)) + output_->zero_point());
}

}  // namespace qarepvgg
