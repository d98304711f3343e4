#include "ops/squeeze_excite.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace qarepvgg {
namespace {

// out = matrix x in + bias; matrix: [outputs][inputs].
void linear(const float* matrix, const float* bias, const float* in, std::size_t inputs, std::size_t outputs,
            float* out) {
  for (std::size_t o = 0; o < outputs; ++o) {
    double sum = static_cast<double>(bias[o]);
    for (std::size_t i = 0; i < inputs; ++i)
      sum += static_cast<double>(matrix[o * inputs + i]) * static_cast<double>(in[i]);
    out[o] = static_cast<float>(sum);
  }
}

// Gradients of `linear` from the gradient of its output.
void linear_backward(const float* matrix, const float* in, const float* grad, std::size_t inputs, std::size_t outputs,
                     float* grad_matrix, float* grad_bias, float* grad_in) {
  std::fill_n(grad_in, inputs, 0.0f);
  for (std::size_t o = 0; o < outputs; ++o) {
    grad_bias[o] += grad[o];
    for (std::size_t i = 0; i < inputs; ++i) {
      grad_matrix[o * inputs + i] += grad[o] * in[i];
      grad_in[i] += grad[o] * matrix[o * inputs + i];
    }
  }
}

}  // namespace

SqueezeExcite::SqueezeExcite(const MapShape& shape, std::size_t reduced, const KernelTable& kernels)
    : shape_(shape), reduced_(reduced), pixel_(shape.pixel()), kernels_(&kernels) {}

void SqueezeExcite::measure(const FeatureMap& x, std::size_t image, SqueezeExciteWeights weights, float* saved) const {
  float *mean = saved, *gate = saved + pixel_, *hidden = saved + 2 * pixel_;
  kernels_->sums({shape_.h, shape_.w, pixel_}, {x.at(image, 0, 0), signed_size(x.shape.row())}, mean);
  const float pixels = static_cast<float>(shape_.h * shape_.w);
  for (std::size_t c = 0; c < pixel_; ++c) mean[c] /= pixels;
  linear(weights.down, weights.down_bias, mean, shape_.c, reduced_, hidden);
  for (std::size_t r = 0; r < reduced_; ++r) hidden[r] = hidden[r] < 0 ? 0 : hidden[r];
  std::fill_n(gate, pixel_, 0.0f);
  linear(weights.up, weights.up_bias, hidden, reduced_, shape_.c, gate);
  for (std::size_t c = 0; c < shape_.c; ++c) gate[c] = 1.0f / (1.0f + std::exp(-gate[c]));
}

void SqueezeExcite::apply(const FeatureMap& x, std::size_t image, const float* saved, const Clamp* clamp,
                          const FeatureMap& y, std::size_t first_row, std::size_t last_row) const {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto [low, high] = clamp != nullptr ? *clamp : Clamp{-kInfinity, kInfinity};
  const float* gate = saved + pixel_;
  for (std::size_t row = first_row; row < last_row; ++row) {
    const float* in = x.at(image, signed_size(row), 0);
    float* out = y.at(image, signed_size(row), 0);
    for (std::size_t p = 0; p < shape_.w; ++p, in += pixel_, out += pixel_)
      for (std::size_t c = 0; c < pixel_; ++c) {
        const float value = in[c] * gate[c];
        out[c] = value < low ? low : high < value ? high : value;
      }
  }
}

void SqueezeExcite::backward(const FeatureMap& grad, const FeatureMap& x, SqueezeExciteWeights weights,
                             const float* saved, bool accumulate, const FeatureMap& grad_x,
                             SqueezeExciteGradients gradients, int threads) const {
  const float pixels = static_cast<float>(shape_.h * shape_.w);
  std::vector<float> grad_gate(pixel_), grad_hidden(reduced_), grad_mean(pixel_);
  for (std::size_t image = 0; image < shape_.n; ++image) {
    const float* mean = saved + image * saved_per_image();
    const float *gate = mean + pixel_, *hidden = mean + 2 * pixel_;
    kernels_->dots({shape_.h, shape_.w, pixel_}, {grad.at(image, 0, 0), signed_size(grad.shape.row())},
                   {x.at(image, 0, 0), signed_size(x.shape.row())}, grad_gate.data());
    for (std::size_t c = 0; c < shape_.c; ++c) grad_gate[c] *= gate[c] * (1.0f - gate[c]);
    linear_backward(weights.up, hidden, grad_gate.data(), reduced_, shape_.c, gradients.up, gradients.up_bias,
                    grad_hidden.data());
    for (std::size_t r = 0; r < reduced_; ++r) grad_hidden[r] = hidden[r] <= 0 ? 0 : grad_hidden[r];
    linear_backward(weights.down, mean, grad_hidden.data(), shape_.c, reduced_, gradients.down, gradients.down_bias,
                    grad_mean.data());
    for (std::size_t c = 0; c < shape_.c; ++c) grad_mean[c] /= pixels;
    parallel_for(threads, shape_.h, [&](std::size_t row) {
      const float* from = grad.at(image, signed_size(row), 0);
      float* to = grad_x.at(image, signed_size(row), 0);
      for (std::size_t p = 0; p < shape_.w; ++p, from += pixel_, to += pixel_)
        for (std::size_t c = 0; c < shape_.c; ++c)
          to[c] = from[c] * gate[c] + grad_mean[c] + (accumulate ? to[c] : 0.0f);
    });
  }
}

}  // namespace qarepvgg
