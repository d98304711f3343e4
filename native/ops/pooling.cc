#include "ops/pooling.h"

namespace qarepvgg {

void global_average_part(const FeatureMap& x, const FeatureMap& out, const KernelTable& kernels, const Member& member) {
  const MapShape& shape = x.shape;
  const Region region{shape.h, shape.w, shape.pixel()};
  const float pixels = static_cast<float>(shape.h * shape.w);
  for (std::size_t image = member.begin(shape.n); image < member.end(shape.n); ++image) {
    float* mean = out.at(image, 0, 0);
    kernels.sums(region, {x.at(image, 0, 0), static_cast<std::ptrdiff_t>(shape.row())}, mean);
    for (std::size_t c = 0; c < shape.c; ++c) mean[c] /= pixels;
  }
}

void global_average_backward(const FeatureMap& grad, bool accumulate, const FeatureMap& grad_x, int threads) {
  const MapShape& shape = grad_x.shape;
  const float pixels = static_cast<float>(shape.h * shape.w);
  parallel_for(threads, shape.n * shape.h, [&](std::size_t row) {
    const float* source = grad.at(row / shape.h, 0, 0);
    float* target = grad_x.at(row / shape.h, static_cast<std::ptrdiff_t>(row % shape.h), 0);
    for (std::size_t x = 0; x < shape.w; ++x, target += shape.pixel())
      for (std::size_t c = 0; c < shape.c; ++c) target[c] = source[c] / pixels + (accumulate ? target[c] : 0.0f);
  });
}

}  // namespace qarepvgg
