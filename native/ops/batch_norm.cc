#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"

namespace qarepvgg {

BatchNorm::BatchNorm(const MapShape& shape, const KernelTable& kernels)
    : kernels_(&kernels), shape_(shape), chunks_(shape), pixel_(shape.pixel()) {}

void BatchNorm::measure_chunk(const FeatureMap& x, std::size_t chunk, float* saved) const {
  const auto part = parts(saved);
  kernels_->moments(chunks_.region(chunk), chunks_.rows(x, chunk), part.first + chunk * pixel_,
                    part.second + chunk * pixel_);
}

void BatchNorm::measure(const FeatureMap& x, float* saved, int threads) const {
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) { measure_chunk(x, chunk, saved); });
}

void BatchNorm::settle(double eps, RunningStatistics running, float* saved, int threads) const {
  const auto part = parts(saved);
  // Chan et al. 1979: joins the moments of the chunks around the common mean.
  const double count = static_cast<double>(shape_.n * shape_.h * shape_.w);
  std::fill_n(saved, 2 * pixel_, 0.0f);
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
        [&](std::size_t i, std::size_t at, double pixels) { mean[i] += pixels * static_cast<double>(part.first[at]); });
    for (double& value : mean) value /= count;
    each_chunk([&](std::size_t i, std::size_t at, double pixels) {
      const double distance = static_cast<double>(part.first[at]) - mean[i];
      m2[i] += static_cast<double>(part.second[at]) + pixels * distance * distance;
    });
    for (std::size_t i = 0; i < channels; ++i) {
      const std::size_t c = first + i;
      part.mean[c] = static_cast<float>(mean[i]);
      part.inv_std[c] = static_cast<float>(1.0 / std::sqrt(m2[i] / count + eps));
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
  const auto part = parts(saved);
  std::fill_n(saved, 2 * pixel_, 0.0f);
  for (std::size_t c = 0; c < shape_.c; ++c) {
    part.mean[c] = running_mean[c];
    part.inv_std[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(running_var[c]) + eps));
  }
}

void BatchNorm::normalize(const Forward& call, BatchNormWeights weights, float* saved, const ChunkTask& then,
                          int threads) const {
  const auto part = parts(saved);
  std::fill_n(part.scale, 2 * pixel_, 0.0f);
  for (std::size_t c = 0; c < shape_.c; ++c) {
    part.scale[c] = weights.weight[c] * part.inv_std[c];
    part.shift[c] = weights.bias[c];
  }
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) {
    const Rows addend = call.addend != nullptr ? chunks_.rows(*call.addend, chunk) : Rows{nullptr, 0};
    kernels_->normalize(chunks_.region(chunk), chunks_.rows(call.x, chunk), part.mean, part.scale, part.shift, addend,
                        call.clamp, chunks_.mutable_rows(call.y, chunk));
    if (then) then(chunk);
  });
}

void BatchNorm::sum_chunk(const FeatureMap& grad, const FeatureMap& x, bool relu, std::size_t chunk,
                          float* saved) const {
  const auto part = parts(saved);
  kernels_->normalize_sums(chunks_.region(chunk), chunks_.rows(grad, chunk), chunks_.rows(x, chunk), part.mean,
                           part.scale, relu ? part.shift : nullptr, part.first + chunk * pixel_,
                           part.second + chunk * pixel_);
}

void BatchNorm::sum(const FeatureMap& grad, const FeatureMap& x, bool relu, float* saved, int threads) const {
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) { sum_chunk(grad, x, relu, chunk, saved); });
}

void BatchNorm::backward(const Backward& call, const float* saved, float* workspace, const ChunkTask& then,
                         int threads) const {
  const auto part = parts(saved);
  float *slope = workspace, *offset = slope + pixel_;
  const double count = static_cast<double>(shape_.n * shape_.h * shape_.w);
  std::fill_n(workspace, 2 * pixel_, 0.0f);
  for (std::size_t c = 0; c < shape_.c; ++c) {
    double sum = 0, dot = 0;
    for (std::size_t chunk = 0; chunk < chunks_.count(); ++chunk) {
      sum += static_cast<double>(part.first[chunk * pixel_ + c]);
      dot += static_cast<double>(part.second[chunk * pixel_ + c]);
    }
    const double inverse = static_cast<double>(part.inv_std[c]), factor = static_cast<double>(part.scale[c]);
    call.grad_bias[c] += static_cast<float>(sum);
    call.grad_weight[c] += static_cast<float>(dot * inverse);
    slope[c] = static_cast<float>(factor * inverse * inverse * dot / count);
    offset[c] = static_cast<float>(factor * sum / count);
  }
  parallel_for(threads, chunks_.count(), [&](std::size_t chunk) {
    kernels_->normalize_backward(chunks_.region(chunk), chunks_.rows(call.grad, chunk), chunks_.rows(call.x, chunk),
                                 part.mean, part.scale, call.relu ? part.shift : nullptr,
                                 call.batch_statistics ? slope : nullptr, offset, call.accumulate,
                                 chunks_.mutable_rows(call.grad_x, chunk));
    if (then) then(chunk);
  });
}

}  // namespace qarepvgg
