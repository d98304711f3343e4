// Ops that compute the same in every channel: sum of branches, scaling, ReLU, 3x3 average, and their gradients.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"
#include "ops/feature_map.h"

namespace qarepvgg {

inline constexpr std::size_t kMaxSummands = 8;

// out = sum of the operands, clamped unless `clamp` is null. out may be one of them.
void add_maps(const FeatureMap* const* operands, std::size_t count, const Clamp* clamp, const FeatureMap& out,
              const KernelTable& kernels, int threads);
// out (+)= x * factor.
void scale_map(const FeatureMap& x, float factor, bool accumulate, const FeatureMap& out, const KernelTable& kernels,
               int threads);
// grad_x (+)= zero where y <= 0, else grad. grad_x may be grad.
void relu_backward(const FeatureMap& grad, const FeatureMap& y, bool accumulate, const FeatureMap& grad_x,
                   const KernelTable& kernels, int threads);
// 3x3 average, stride 1, padding 1, which counts (torch.nn.AvgPool2d(3, 1, 1)); x needs a halo of one. The operation is
// its own gradient.
void average3x3(const FeatureMap& x, bool accumulate, const FeatureMap& out, const KernelTable& kernels, int threads);
// Sum of a * b over all elements. workspace: sum_workspace_floats(a.shape).
double dot_maps(const FeatureMap& a, const FeatureMap& b, float* workspace, const KernelTable& kernels, int threads);
// Adds the sum over pixels of x to `sums`, per channel. workspace: sum_workspace_floats(x.shape).
void add_channel_sums(const FeatureMap& x, float* workspace, float* sums, const KernelTable& kernels, int threads);
std::size_t sum_workspace_floats(const MapShape& shape);

}  // namespace qarepvgg
