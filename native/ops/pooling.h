// Global average pooling and its gradient.
#pragma once

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/byte_map.h"
#include "ops/feature_map.h"
#include "ops/quantization.h"

namespace qarepvgg {

// Averages some of the images. out: as many images and channels as x, with one pixel each.
void global_average(const FeatureMap& x, const FeatureMap& out, const KernelTable& kernels, const Tile& images);
// The same for integers, like onnxruntime's QLinearGlobalAveragePool: the sum of (x - zero point), times `input.scale /
// (output.scale * pixels)`. An item is some channels of an image.
std::size_t integer_average_items(const MapShape& x);
void integer_global_average(const ByteMap& x, const Quantization& input, const ByteMap& out, const Quantization& output,
                            const IntegerKernels& kernels, const Tile& items);
// Sums of more pixels could overflow.
inline constexpr std::size_t kMaxAveragedPixels = 1 << 23;
// grad_x (+)= grad / pixels, for every pixel.
void global_average_backward(const FeatureMap& grad, bool accumulate, const FeatureMap& grad_x, int threads);

}  // namespace qarepvgg
