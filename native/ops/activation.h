// What an op applies to its output before it stores it.
#pragma once

#include <optional>

#include "kernels/kernel_table.h"

namespace qarepvgg {

// A clamp, which the store of a kernel applies, another function of the stored numbers, or neither.
class Activation {
 public:
  Activation() = default;
  explicit Activation(const UnaryFunction& function) {
    if (function.is_clamp())
      clamp_ = function.kind == Unary::kRelu ? kReluClamp : Clamp{function.alpha, function.beta};
    else
      then_ = function;
  }
  static Activation relu() { return Activation({Unary::kRelu}); }

  // Null without one.
  const Clamp* clamp() const { return clamp_ ? &*clamp_ : nullptr; }
  const UnaryFunction* then() const { return then_ ? &*then_ : nullptr; }
  bool any() const { return clamp_ || then_; }

 private:
  std::optional<Clamp> clamp_;
  std::optional<UnaryFunction> then_;
};

}  // namespace qarepvgg
