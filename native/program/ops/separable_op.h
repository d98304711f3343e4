// A depthwise convolution and the pointwise one that alone reads it, row by row, so that what is between them stays in
// the first-level cache.
#pragma once

#include <memory>

#include "program/ops/conv_parts.h"

namespace qarepvgg {

// `node`: a convolution by the direct form, whose operand 0 is the output of `front`, which must outlive the op. Null
// if they are not such a pair, or if they run faster one after the other. The op has the operands of `node`, but
// instead of the first one that of `front`.
std::unique_ptr<Op> make_separable(const Op& front, const ConvNode& node);

}  // namespace qarepvgg
