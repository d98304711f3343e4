#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"

namespace qarepvgg {

BatchNorm::BatchNorm(const MapShape& shape, const KernelTable& kernels)
    : kernels_(&kernels), shape_(shape), chunks_(shape), pixel_(shape.pixel()) {}

void BatchNorm::measure(const FeatureMap& x, double eps, RunningStatistics running, float* saved, float* workspace,
                        int threads) const {
  float *means = workspace, *m2s = workspace + pixel_ * chunks_.count();
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) {
    kernels_->moments(chunks_.region(chunk), chunks_.rows(x, chunk), means + chunk * pixel_, m2s + chunk * pixel_);
  });

  // Chan et al. 1979: the chunks' moments joined around the common mean.
  const double count = static_cast<double>(shape_.n * shape_.h * shape_.w);
  float *mean_out = saved, *inv_std_out = saved + pixel_;
  std::fill_n(saved, saved_floats(), 0.0f);
  parallel_for(threads, ceil_div(shape_.c, kAlignedFloats), [&](std::size_t block) {
    const std::size_t first = block * kAlignedFloats, channels = std::min(kAlignedFloats, shape_.c - first);
    double mean[kAlignedFloats] = {}, m2[kAlignedFloats] = {};
    const auto each_chunk = [&](const auto& visit) {
      for (std::size_t chunk = 0; chunk < chunks_.count(); ++chunk) {
        const Region region = chunks_.region(chunk);
        const double pixels = static_cast<double>(region.rows * region.pixels);
        for (std::size_t i = 0; i < channels; ++i) visit(i, chunk * pixel_ + first + i, pixels);
      }
    };
    each_chunk(
        [&](std::size_t i, std::size_t at, double pixels) { mean[i] += pixels * static_cast<double>(means[at]); });
    for (double& value : mean) value /= count;
    each_chunk([&](std::size_t i, std::size_t at, double pixels) {
      const double distance = static_cast<double>(means[at]) - mean[i];
      m2[i] += static_cast<double>(m2s[at]) + pixels * distance * distance;
    });
    for (std::size_t i = 0; i < channels; ++i) {
      const std::size_t c = first + i;
      mean_out[c] = static_cast<float>(mean[i]);
      inv_std_out[c] = static_cast<float>(1.0 / std::sqrt(m2[i] / count + eps));
      const auto blend = [&](float& old, double batch) {
        old = static_cast<float>((1.0 - running.momentum) * static_cast<double>(old) + running.momentum * batch);
      };
      blend(running.mean[c], mean[i]);
      blend(running.var[c], m2[i] / (count - 1.0));
    }
  });
  *running.batches += 1.0f;
}

void BatchNorm::recall(const float* running_mean, const float* running_var, double eps, float* saved) const {
  std::fill_n(saved, saved_floats(), 0.0f);
  for (std::size_t c = 0; c < shape_.c; ++c) {
    saved[c] = running_mean[c];
    saved[pixel_ + c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(running_var[c]) + eps));
  }
}

void BatchNorm::normalize(const FeatureMap& x, BatchNormWeights weights, const float* saved, bool relu,
                          const FeatureMap& y, float* workspace, int threads) const {
  const float *mean = saved, *inv_std = saved + pixel_;
  float *scale = workspace, *shift = workspace + pixel_;
  std::fill_n(workspace, 2 * pixel_, 0.0f);
  for (std::size_t c = 0; c < shape_.c; ++c) {
    scale[c] = weights.weight[c] * inv_std[c];
    shift[c] = weights.bias[c];
  }
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) {
    kernels_->normalize(chunks_.region(chunk), chunks_.rows(x, chunk), mean, scale, shift, relu,
                        chunks_.mutable_rows(y, chunk));
  });
}

void BatchNorm::backward(const Backward& call, BatchNormWeights weights, const float* saved, float* workspace,
                         int threads) const {
  const float *mean = saved, *inv_std = saved + pixel_;
  float *sums = workspace, *dots = workspace + pixel_ * chunks_.count();
  float *scale = dots + pixel_ * chunks_.count(), *slope = scale + pixel_, *offset = slope + pixel_;
  const auto relu_rows = [&](std::size_t chunk) {
    return call.relu_y != nullptr ? chunks_.rows(*call.relu_y, chunk) : Rows{nullptr, 0};
  };
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) {
    kernels_->normalize_sums(chunks_.region(chunk), chunks_.rows(call.grad, chunk), relu_rows(chunk),
                             chunks_.rows(call.x, chunk), mean, sums + chunk * pixel_, dots + chunk * pixel_);
  });

  const double count = static_cast<double>(shape_.n * shape_.h * shape_.w);
  std::fill_n(scale, 3 * pixel_, 0.0f);
  for (std::size_t c = 0; c < shape_.c; ++c) {
    double sum = 0, dot = 0;
    for (std::size_t chunk = 0; chunk < chunks_.count(); ++chunk) {
      sum += static_cast<double>(sums[chunk * pixel_ + c]);
      dot += static_cast<double>(dots[chunk * pixel_ + c]);
    }
    const double inverse = static_cast<double>(inv_std[c]), factor = static_cast<double>(weights.weight[c]) * inverse;
    call.grad_bias[c] += static_cast<float>(sum);
    call.grad_weight[c] += static_cast<float>(dot * inverse);
    scale[c] = static_cast<float>(factor);
    if (!call.batch_statistics) continue;
    slope[c] = static_cast<float>(factor * inverse * inverse * dot / count);
    offset[c] = static_cast<float>(factor * sum / count);
  }
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) {
    kernels_->normalize_backward(chunks_.region(chunk), chunks_.rows(call.grad, chunk), relu_rows(chunk),
                                 call.batch_statistics ? chunks_.rows(call.x, chunk) : Rows{nullptr, 0}, mean, scale,
                                 slope, offset, call.accumulate, chunks_.mutable_rows(call.grad_x, chunk));
  });
}

}  // namespace qarepvgg
