// Global average pooling and its gradient.
#pragma once

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/feature_map.h"

namespace qarepvgg {

// out: as many images and channels as x, one pixel each. One member's part, image by image.
void global_average_part(const FeatureMap& x, const FeatureMap& out, const KernelTable& kernels, const Member& member);
// grad_x (+)= grad / pixels, for every pixel.
void global_average_backward(const FeatureMap& grad, bool accumulate, const FeatureMap& grad_x, int threads);

}  // namespace qarepvgg
