#include "program/train/spec.h"

#include "base/checked.h"
#include "ops/feature_map.h"

namespace qarepvgg {
namespace {

void check_tensor(const ProgramSpec& spec, const char* what, StateOffset offset, std::size_t floats) {
  if (offset == kNoTensor || floats > spec.state_length || offset > spec.state_length - floats)
    fail(code::kInvalidArg, "expected ", what, " to lie inside a state of ", spec.state_length,
         " floats, received offset ", offset, " and ", floats, " floats");
}

}  // namespace

const char* name_of(OpKind kind) {
  constexpr const char* kNames[]{"conv",        "batchNorm",  "add",           "scale",
                                 "averagePool", "relu",       "globalAverage", "squeezeExcite",
                                 "quantize",    "dequantize", "quantizedConv", "quantizedGlobalAverage"};
  return kNames[static_cast<int>(kind)];
}

bool is_quantized(OpKind kind) { return kind >= OpKind::kQuantize; }

void check_state(const ProgramSpec& spec, const OpSpec& op, const MapShape& input) {
  switch (op.kind) {
    case OpKind::kConv: {
      const std::size_t depth = input.c / op.groups;
      check_tensor(spec, "a convolution's weight", op.weight,
                   checked_product({op.out_channels, depth, op.kernel, op.kernel}));
      if (op.bias != kNoTensor) check_tensor(spec, "a convolution's bias", op.bias, op.out_channels);
      break;
    }
    case OpKind::kBatchNorm:
      for (StateOffset offset : {op.weight, op.bias, op.running_mean, op.running_var})
        check_tensor(spec, "a batch norm's tensor", offset, input.c);
      check_tensor(spec, "a batch norm's batch count", op.batches, 1);
      break;
    case OpKind::kScale:
      check_tensor(spec, "a factor", op.weight, 1);
      break;
    case OpKind::kSqueezeExcite:
      for (StateOffset offset : {op.weight, op.up_weight})
        check_tensor(spec, "a squeeze-and-excitation weight", offset, checked_mul(op.reduced, input.c));
      check_tensor(spec, "a squeeze-and-excitation bias", op.bias, op.reduced);
      check_tensor(spec, "a squeeze-and-excitation bias", op.up_bias, input.c);
      break;
    case OpKind::kAdd:
    case OpKind::kAveragePool:
    case OpKind::kRelu:
    case OpKind::kGlobalAverage:
    case OpKind::kQuantize:
    case OpKind::kDequantize:
    case OpKind::kQuantizedConv:
    case OpKind::kQuantizedGlobalAverage:
      break;
  }
}

}  // namespace qarepvgg
