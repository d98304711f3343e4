// Global average pooling and its gradient.
#pragma once

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/byte_map.h"
#include "ops/feature_map.h"
#include "ops/quantization.h"

namespace qarepvgg {

// out: as many images and channels as x, one pixel each. Some of the images.
void global_average(const FeatureMap& x, const FeatureMap& out, const KernelTable& kernels, const Tile& images);
// The same on integers, as onnxruntime's QLinearGlobalAveragePool: the sum of what is above the zero point, times
// `input.scale / (output.scale * pixels)`. sums: scratch, one per channel of x with its padding.
void integer_global_average(const ByteMap& x, const Quantization& input, const ByteMap& out, const Quantization& output,
                            const IntegerKernels& kernels, std::int32_t* sums, const Tile& images);
// More pixels than this could overflow those sums.
inline constexpr std::size_t kMaxAveragedPixels = 1 << 23;
// grad_x (+)= grad / pixels, for every pixel.
void global_average_backward(const FeatureMap& grad, bool accumulate, const FeatureMap& grad_x, int threads);

}  // namespace qarepvgg
