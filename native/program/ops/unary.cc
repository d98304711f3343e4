// unary: [x]; kind, and the parameters of the function.
#include "program/ops/unary.h"

#include <cmath>

#include "kernels/dispatch.h"
#include "program/ops/map_step.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// Functions without a kernel.
float evaluate(Unary kind, float x) {
  switch (kind) {
    case Unary::kRound:
      return std::nearbyint(x);
    case Unary::kSin:
      return std::sin(x);
    case Unary::kCos:
      return std::cos(x);
    case Unary::kTan:
      return std::tan(x);
    case Unary::kAsin:
      return std::asin(x);
    case Unary::kAcos:
      return std::acos(x);
    case Unary::kAtan:
      return std::atan(x);
    case Unary::kSinh:
      return std::sinh(x);
    case Unary::kCosh:
      return std::cosh(x);
    case Unary::kAsinh:
      return std::asinh(x);
    case Unary::kAcosh:
      return std::acosh(x);
    case Unary::kAtanh:
      return std::atanh(x);
    default:
      return x;
  }
}

// A map with few channels is mostly padding lanes, for which functions would be computed, too.
Layout layout_for(const Source& x) {
  constexpr std::size_t kLeastPart = 4;
  const bool is_padding = x.layout == Layout::kMap && kLeastPart * x.dims()[1] <= round_up(x.dims()[1], kAlignedFloats);
  return is_padding ? Layout::kPlain : x.layout;
}

class UnaryOp final : public Op {
 public:
  explicit UnaryOp(const OpContext& context)
      : function_(unary_function(context.attributes(), context.attributes().text("kind"), "")),
        activation_(activation_of(context.attributes())) {
    context.expect_inputs(1, 1);
    const Source& x = context.floats(0);
    type_ = {x.tensor, layout_for(x), 0};
  }

  Access access(std::size_t) const override { return type_.layout == Layout::kMap ? Access::kMap : Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {type_}; }
  bool applies_activation() const override { return type_.layout == Layout::kMap; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override;

 private:
  UnaryFunction function_;
  std::optional<UnaryFunction> activation_;
  ValueType type_;
};

class PlainStep final : public Step {
 public:
  PlainStep(const UnaryFunction& function, std::size_t count, std::size_t members)
      : Step({count, members, 2 * bytes_size(count * sizeof(float))}), function_(function) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    apply(function_, at.input(0) + items.first, items.length, at.output() + items.first);
  }

  UnaryFunction function_;
};

std::unique_ptr<Step> UnaryOp::plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                                    std::size_t members) const {
  if (type_.layout == Layout::kPlain) return std::make_unique<PlainStep>(function_, type_.tensor.elements(), members);
  const MapShape in = inputs[0].map(), out = outputs[0].map();
  const auto rows = [in, out, function = function_](const Operands& at, std::size_t first, std::size_t end) {
    const FeatureMap x = at.input_map(0, in), y = at.output_map(out);
    for (std::size_t line = first; line < end; ++line) {
      const std::size_t image = line / in.h;
      const std::ptrdiff_t row = signed_size(line % in.h);
      apply(function, x.at(image, row, 0), in.w * in.pixel(), y.at(image, row, 0));
    }
    if (!function.keeps_zero()) clear_padding(y, first, end);
  };
  return make_row_step(out, members, activation_, 1, rows);
}

}  // namespace

void apply(const UnaryFunction& function, const float* x, std::size_t count, float* y) {
  if (function.has_kernel())
    active_kernels().tensor->unary(function, x, count, y);
  else
    for (std::size_t i = 0; i < count; ++i) y[i] = evaluate(function.kind, x[i]) * function.scale + function.shift;
}

std::unique_ptr<Step> make_unary_step(const UnaryFunction& function, const ValueType& type, std::size_t members) {
  if (type.layout == Layout::kPlain) return std::make_unique<PlainStep>(function, type.tensor.elements(), members);
  const MapShape shape = type.map();
  const auto rows = [shape, function](const Operands& at, std::size_t first, std::size_t end) {
    apply_to_rows(function, at.output_map(shape), first, end);
  };
  return make_row_step(shape, members, std::nullopt, 1, rows);
}

std::unique_ptr<Op> make_unary(const OpContext& context) { return std::make_unique<UnaryOp>(context); }

}  // namespace qarepvgg
