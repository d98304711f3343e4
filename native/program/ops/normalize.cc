// normalize: [x, scale, shift]; axis, epsilon, channels. Every line, which is what lies behind the axes before `axis`,
// gets the mean 0 and the variance 1. Optional scale and shift have a number for each element of a line, or, if
// `channels` is true, for each index of the axis before.
#include "kernels/dispatch.h"
#include "program/ops/activation.h"
#include "program/ops/lines.h"
#include "program/ops/table.h"
#include "program/ops/unary.h"

namespace qarepvgg {
namespace {

class NormalizeOp final : public Op {
 public:
  explicit NormalizeOp(const OpContext& context)
      : epsilon_(static_cast<float>(context.attributes().number("epsilon"))),
        are_channels_(context.attributes().flag("channels")),
        activation_(activation_of(context.attributes())) {
    context.expect_inputs(1, 3);
    type_ = context.floats(0).tensor;
    const std::size_t axis = context.attributes().size("axis"), rank = type_.dims.size();
    if (axis > rank || (are_channels_ && axis == 0))
      fail(code::kInvalidArg, "expected an axis of ", rank, ", received ", axis);
    const auto behind = type_.dims.begin() + signed_size(axis);
    lines_ = {elements_of(Dims(type_.dims.begin(), behind)), elements_of(Dims(behind, type_.dims.end()))};
    numbers_ = are_channels_ ? type_.dims[axis - 1] : lines_[1];
    for (std::size_t i = 1; i <= 2; ++i) {
      given_[i - 1] = context.is_given(i);
      if (given_[i - 1] && context.floats(i).tensor.elements() != numbers_)
        fail(code::kShape, "expected ", numbers_, " numbers, received ", context.inputs[i].tensor.elements());
    }
  }

  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {{type_, Layout::kPlain, 0}}; }
  bool applies_activation() const override { return true; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    const auto line = [length = lines_[1], epsilon = epsilon_, are_channels = are_channels_, numbers = numbers_,
                       has_scale = given_[0], has_shift = given_[1],
                       activation = activation_](const Operands& at, std::size_t index, std::byte*) {
      const std::size_t first = are_channels ? index % numbers : 0;
      const float* scale = has_scale ? at.input(1) + first : nullptr;
      const float* shift = has_shift ? at.input(2) + first : nullptr;
      float* y = at.output() + index * length;
      active_kernels().tensor->normalize(
          {at.input(0) + index * length, length, epsilon, scale, shift, are_channels, y});
      if (activation) apply(*activation, y, length, y);
    };
    return make_line_step(Lines(lines_, 1), members, 0, line);
  }

 private:
  TensorType type_;
  float epsilon_;
  bool are_channels_;
  std::optional<UnaryFunction> activation_;
  Dims lines_;  // how many, and their length
  std::size_t numbers_ = 0;
  bool given_[2]{};
};

}  // namespace

std::unique_ptr<Op> make_normalize(const OpContext& context) { return std::make_unique<NormalizeOp>(context); }

}  // namespace qarepvgg
