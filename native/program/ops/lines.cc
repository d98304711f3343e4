#include "program/ops/lines.h"

namespace qarepvgg {

std::size_t axis_of(const OpContext& context) {
  context.expect_inputs(1, 1);
  const Dims& dims = context.inputs[0].dims();
  const std::size_t axis = context.attributes().size("axis");
  if (axis >= dims.size()) fail(code::kInvalidArg, "expected an axis below ", dims.size(), ", received ", axis);
  return axis;
}

}  // namespace qarepvgg
