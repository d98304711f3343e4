// What the op that stores a value applies to it: the attributes `activation`, `activation.alpha` and so on.
#pragma once

#include <optional>

#include "kernels/tensor_kernels.h"
#include "program/graph.h"

namespace qarepvgg {

// The function named `kind`, with its parameters under `prefix`. Throws ERR_INVALID_ARG for an unknown one.
UnaryFunction unary_function(const Attributes& attributes, const std::string& kind, const std::string& prefix);
// That of a node, if it has one.
std::optional<UnaryFunction> activation_of(const Attributes& attributes);

}  // namespace qarepvgg
