#include "program/op.h"

#include <algorithm>

#include "program/ops/table.h"

namespace qarepvgg {

void OpContext::expect_inputs(std::size_t least, std::size_t most) const {
  std::size_t present = 0;
  while (present < inputs.size() && inputs[present].given) ++present;
  if (inputs.size() > most || present < least)
    fail(code::kInvalidArg, "expected ", least == most ? "" : "from ", least, least == most ? "" : " to ",
         least == most ? std::string() : std::to_string(most), " operands, received ", inputs.size());
}

const Source& OpContext::floats(std::size_t input) const {
  const Source& source = inputs[input];
  if (source.tensor.type != Dtype::kFloat32)
    fail(code::kDtype, "expected operand ", input, " to be float32, received ", name_of(source.tensor.type));
  return source;
}

std::unique_ptr<Op> make_op(const OpContext& context) {
  return at_node(context.node, [&] {
    const OpEntry* entry = find_op(context.node.op);
    if (entry == nullptr || entry->make == nullptr)
      fail(code::kModelIncompatible, "expected an op of this engine, received '", context.node.op, "'");
    return entry->make(context);
  });
}

}  // namespace qarepvgg
