// The activation that an op applies before it stores: the attributes `activation`, `activation.alpha` and so on.
#pragma once

#include <optional>

#include "ops/activation.h"
#include "program/graph.h"

namespace qarepvgg {

// Reads the function named `kind`; its parameters have `prefix`. Throws ERR_INVALID_ARG for an unknown one.
UnaryFunction unary_function(const Attributes& attributes, const std::string& kind, const std::string& prefix);
// The activation of a node, if it has one.
std::optional<UnaryFunction> activation_of(const Attributes& attributes);
// The part of it that kernels apply when they store. If it is none, the activation becomes a step of its own.
Activation stored_activation_of(const Attributes& attributes);

}  // namespace qarepvgg
