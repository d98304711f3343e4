#include "binding/program_spec.h"

#include "base/error.h"
#include "base/threads.h"
#include "binding/arguments.h"

namespace qarepvgg::binding {
namespace {

StateOffset offset_of(const Napi::Object& object, const char* name) { return size_of(object, name, kNoTensor); }

ValueId input_of(const Napi::Object& object) { return size_of(object, "input"); }

void read_geometry(const Napi::Object& object, OpSpec& op) {
  op.inputs = {input_of(object)};
  op.out_channels = size_of(object, "outChannels");
  op.kernel = size_of(object, "kernel");
  op.stride = size_of(object, "stride");
  op.padding = size_of(object, "padding");
  op.dilation = size_of(object, "dilation");
  op.groups = size_of(object, "groups");
}

void read_conv(const Napi::Object& object, OpSpec& op) {
  read_geometry(object, op);
  op.identity = flag_of(object, "identity");
  op.weight = offset_of(object, "weight");
  op.bias = offset_of(object, "bias");
}

void read_batch_norm(const Napi::Object& object, OpSpec& op) {
  op.inputs = {input_of(object)};
  if (!get(object, "addend").IsUndefined()) op.inputs.push_back(size_of(object, "addend"));
  op.eps = number_of(object, "eps");
  op.momentum = number_of(object, "momentum");
  op.weight = offset_of(object, "weight");
  op.bias = offset_of(object, "bias");
  op.running_mean = offset_of(object, "runningMean");
  op.running_var = offset_of(object, "runningVar");
  op.batches = offset_of(object, "batches");
}

void read_squeeze_excite(const Napi::Object& object, OpSpec& op) {
  op.inputs = {input_of(object)};
  op.reduced = size_of(object, "reduced");
  op.weight = offset_of(object, "downWeight");
  op.bias = offset_of(object, "downBias");
  op.up_weight = offset_of(object, "upWeight");
  op.up_bias = offset_of(object, "upBias");
}

void read_add(const Napi::Object& object, OpSpec& op) {
  const Napi::Array inputs = array_of(get(object, "inputs"), "inputs");
  for (std::uint32_t i = 0; i < inputs.Length(); ++i) op.inputs.push_back(to_size(get(inputs, i), "an operand"));
}

// The activations that have gradients.
void read_activation(const std::string& name, OpSpec& op) {
  if (name == "relu")
    op.activation = Activation::relu();
  else if (name != "none")
    fail(code::kInvalidArg, "expected an activation of relu or none, received '", name, "'");
}

OpSpec read_op(const Napi::Object& object) {
  OpSpec op;
  const std::string name = string_of(object, "op");
  if (name == "conv") {
    op.kind = OpKind::kConv;
    read_conv(object, op);
  } else if (name == "batchNorm") {
    op.kind = OpKind::kBatchNorm;
    read_batch_norm(object, op);
  } else if (name == "add") {
    op.kind = OpKind::kAdd;
    read_add(object, op);
  } else if (name == "scale") {
    op.kind = OpKind::kScale;
    op.inputs = {input_of(object)};
    op.weight = offset_of(object, "factor");
  } else if (name == "averagePool") {
    op.kind = OpKind::kAveragePool;
    op.inputs = {input_of(object)};
  } else if (name == "globalAverage") {
    op.kind = OpKind::kGlobalAverage;
    op.inputs = {input_of(object)};
  } else if (name == "squeezeExcite") {
    op.kind = OpKind::kSqueezeExcite;
    read_squeeze_excite(object, op);
  } else if (name == "relu") {
    op.kind = OpKind::kRelu;
    op.inputs = {input_of(object)};
  } else {
    fail(code::kInvalidArg,
         "expected op to be conv, batchNorm, add, scale, averagePool, globalAverage, squeezeExcite or relu, received '",
         name, "'");
  }
  if (!get(object, "activation").IsUndefined()) read_activation(string_of(object, "activation"), op);
  return op;
}

}  // namespace

ProgramSpec read_program_spec(const Napi::Value& value) {
  const Napi::Object object = object_of(value, "the program");
  const Napi::Array dims = array_of(get(object, "input"), "input");
  if (dims.Length() != 4) fail(code::kShape, "expected input dims [n, c, h, w], received ", dims.Length(), " dims");
  const auto dim = [&](std::uint32_t i) { return to_size(get(dims, i), "an input dim"); };

  ProgramSpec spec;
  spec.n = dim(0);
  spec.c = dim(1);
  spec.h = dim(2);
  spec.w = dim(3);
  const Napi::Array ops = array_of(get(object, "ops"), "ops");
  for (std::uint32_t i = 0; i < ops.Length(); ++i) spec.ops.push_back(read_op(object_of(get(ops, i), "an op")));
  spec.state_length = size_of(object, "stateLength");
  spec.training = flag_of(object, "training");
  spec.gradients = flag_of(object, "gradients");
  const std::size_t threads = size_of(object, "threads", 0);
  if (threads > static_cast<std::size_t>(kMaxThreads))
    fail(code::kInvalidArg, "expected at most ", kMaxThreads, " threads, received ", threads);
  spec.threads = static_cast<int>(threads);
  return spec;
}

}  // namespace qarepvgg::binding
