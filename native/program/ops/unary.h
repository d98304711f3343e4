// Functions of one number, applied to many.
#pragma once

#include <cstddef>
#include <memory>

#include "program/op.h"
#include "program/ops/activation.h"

namespace qarepvgg {

// y may be x.
void apply(const UnaryFunction& function, const float* x, std::size_t count, float* y);

// Makes a step that applies an activation to a value in place: its only operand is also its output.
std::unique_ptr<Step> make_unary_step(const UnaryFunction& function, const ValueType& type, std::size_t members);

}  // namespace qarepvgg
