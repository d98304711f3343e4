// Convolutions of floats to few channels, whose sums would use few lanes of a vector. Each input pixel is multiplied by
// the weights of all columns of the kernel at once, as if these were channels. An output pixel is then a sum of as many
// products, each of another input pixel.
#pragma once

#include "program/ops/conv_parts.h"

namespace qarepvgg {

// Null unless this takes less than half of the time. is_image: whether the input would have to become a map for it.
std::unique_ptr<Op> make_narrow_conv(const ConvNode& node, bool is_image);

}  // namespace qarepvgg
