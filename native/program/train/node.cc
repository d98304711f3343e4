#include "program/train/node.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace qarepvgg {

int Run::team(double work) const {
  // Waking a thread takes a few microseconds, about as long as this many elementary operations.
  constexpr double kWorkPerThread = 1 << 16;
  return static_cast<int>(std::clamp(work / kWorkPerThread, 1.0, static_cast<double>(threads)));
}

NewNode make_node(const OpSpec& spec, const std::vector<MapShape>& inputs, const NodeOptions& options) {
  const std::size_t limit = spec.kind == OpKind::kAdd ? kMaxSummands : spec.kind == OpKind::kBatchNorm ? 2 : 1;
  if (inputs.empty() || inputs.size() > limit)
    fail(code::kInvalidArg, "expected 1 to ", limit, " operands, received ", inputs.size());
  switch (spec.kind) {
    case OpKind::kConv:
      return make_conv_node(spec, inputs.front(), options);
    case OpKind::kBatchNorm:
      return make_batch_norm_node(spec, inputs, options.training);
    case OpKind::kSqueezeExcite:
      return make_squeeze_excite_node(spec, inputs.front());
    case OpKind::kAdd:
    case OpKind::kScale:
    case OpKind::kAveragePool:
    case OpKind::kRelu:
    case OpKind::kGlobalAverage:
      break;
    case OpKind::kQuantize:
    case OpKind::kDequantize:
    case OpKind::kQuantizedConv:
    case OpKind::kQuantizedGlobalAverage:
      fail(code::kModelIncompatible, "expected a network of floats, received ", name_of(spec.kind),
           ": quantised networks run in inference sessions");
  }
  return make_elementwise_node(spec, inputs);
}

}  // namespace qarepvgg
