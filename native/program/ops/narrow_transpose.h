// Transposed convolutions to few channels, of floats or integers. If kernels do not overlap, a block of output pixels
// is a matrix times an input pixel. With few channels, such a block fits into a vector, and a map would be mostly
// padding, so the output is a plain tensor of floats.
#pragma once

#include "program/ops/quantized_parts.h"

namespace qarepvgg {

// Null if the node is none of these.
std::unique_ptr<Op> make_narrow_transpose(const ConvNode& node);
// Leaves `node` as it is if it is none of these.
std::unique_ptr<Op> make_narrow_transpose(QuantizedNode& node);

}  // namespace qarepvgg
