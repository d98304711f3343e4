// The activation that an op applies before it stores: the attributes `activation`, `activation.alpha` and so on.
#pragma once

#include <optional>

#include "kernels/tensor_kernels.h"
#include "program/graph.h"

namespace qarepvgg {

// Reads the function named `kind`; its parameters have `prefix`. Throws ERR_INVALID_ARG for an unknown one.
UnaryFunction unary_function(const Attributes& attributes, const std::string& kind, const std::string& prefix);
// The activation of a node, if it has one.
std::optional<UnaryFunction> activation_of(const Attributes& attributes);

}  // namespace qarepvgg
