#include "program/spec.h"

#include "base/checked.h"
#include "ops/feature_map.h"

namespace qarepvgg {
namespace {

void check_tensor(const ProgramSpec& spec, const char* what, StateOffset offset, std::size_t floats) {
  if (offset == kNoTensor || floats > spec.state_length || offset > spec.state_length - floats)
    fail(code::kInvalidArg, "expected ", what, " to lie inside a state of ", spec.state_length,
         " floats, received offset ", offset, " and ", floats, " floats");
}

// Integers are read as what they were written as.
void check_elements(const ProgramSpec& spec) {
  std::optional<Quantization> written;
  for (std::size_t i = 0; i < spec.ops.size(); ++i) {
    const OpSpec& op = spec.ops[i];
    const std::string label = op_label(i, name_of(op.kind));
    if (op.relu && is_quantized(op.kind) && op.kind != OpKind::kQuantizedConv)
      fail(code::kInvalidArg, label, ": expected no fused ReLU");
    if (op.reads_integers() != op.from.has_value())
      fail(code::kInvalidArg, label, ": expected its input's quantization");
    if (op.reads_integers() != written.has_value())
      fail(code::kInvalidArg, label, ": expected to read ", op.reads_integers() ? "integers" : "floats", ", received ",
           written ? "integers" : "floats");
    if (!(op.from == written)) {
      const auto zero_point = [](const Quantization& q) { return static_cast<int>(q.zero_point()); };
      fail(code::kQuantParam, label, ": expected the scale and zero point of its input, ", written->scale(), " and ",
           zero_point(*written), ", received ", op.from->scale(), " and ", zero_point(*op.from));
    }
    written = is_quantized(op.kind) ? op.to : std::nullopt;
  }
  if (written) fail(code::kInvalidArg, "expected the last op to write floats, received integers");
}

}  // namespace

const char* name_of(OpKind kind) {
  constexpr const char* kNames[]{"conv",        "batchNorm",  "add",           "scale",
                                 "averagePool", "relu",       "globalAverage", "squeezeExcite",
                                 "quantize",    "dequantize", "quantizedConv", "quantizedGlobalAverage"};
  return kNames[static_cast<int>(kind)];
}

bool is_quantized(OpKind kind) { return kind >= OpKind::kQuantize; }

std::string op_label(std::size_t index, const std::string& name) {
  return "op " + std::to_string(index) + " (" + name + ")";
}

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

void check_chain(const ProgramSpec& spec) {
  if (spec.ops.empty()) fail(code::kInvalidArg, "expected at least one op, received none");
  for (std::size_t dim : {spec.c, spec.h, spec.w})
    if (dim == 0) fail(code::kShape, "expected input dims of at least 1, received 0");
  for (std::size_t i = 0; i < spec.ops.size(); ++i)
    if (spec.ops[i].inputs != std::vector<ValueId>{i})
      fail(code::kModelIncompatible,
           "expected a re-parameterised network, a chain without branches: call switchToDeploy() first");
  check_elements(spec);
}

}  // namespace qarepvgg
