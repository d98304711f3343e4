#include "test/chain_program.h"

namespace qarepvgg {
namespace {

std::string op_label(std::size_t index, const std::string& name) {
  return "op " + std::to_string(index) + " (" + name + ")";
}

// Integers must be read with the quantisation with which they were written.
void check_elements(const ProgramSpec& spec) {
  std::optional<Quantization> written;
  for (std::size_t i = 0; i < spec.ops.size(); ++i) {
    const OpSpec& op = spec.ops[i];
    const std::string label = op_label(i, name_of(op.kind));
    if (op.activation.any() && is_quantized(op.kind) && op.kind != OpKind::kQuantizedConv)
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

// Throws ERR_MODEL_INCOMPATIBLE unless each op reads only the value before it; ERR_INVALID_ARG if an op reads integers
// instead of floats or floats instead of integers, or the last op writes integers; ERR_QUANT_PARAM if an op reads
// integers with another quantisation than that of the op before it.
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

class ChainGraph {
 public:
  ChainGraph(const ProgramSpec& spec, const float* state) : spec_(spec), state_(state) {}

  GraphSpec build(Algorithm algorithm) {
    check_chain(spec_);
    shape_ = {1, spec_.c, spec_.h, spec_.w};
    graph_.inputs = {type_of(Dtype::kFloat32)};
    graph_.algorithm = algorithm;
    graph_.threads = spec_.threads;
    graph_.independent = true;
    graph_.together = spec_.n;
    shape_.elements();
    for (std::size_t i = 0; i < spec_.ops.size(); ++i) {
      const OpSpec& op = spec_.ops[i];
      // The first convolution quantises the image that it reads.
      const bool is_part_of_stem = i == 0 && op.kind == OpKind::kQuantize && spec_.ops.size() > 1 &&
                                   spec_.ops[1].kind == OpKind::kQuantizedConv && spec_.ops[1].groups == 1 &&
                                   spec_.c <= kMaxImageChannels;
      if (!is_part_of_stem) add(op, i);
    }
    // Inputs, then constants, then outputs of nodes.
    const std::size_t first_result = 1 + graph_.constants.size();
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      std::vector<ValueId>& inputs = graph_.nodes[i].inputs;
      inputs[0] = i == 0 ? 0 : first_result + i - 1;
    }
    graph_.outputs = {first_result + graph_.nodes.size() - 1};
    return std::move(graph_);
  }

 private:
  TensorType type_of(Dtype type) const { return {type, {shape_.n, shape_.c, shape_.h, shape_.w}}; }

  void add(const OpSpec& op, std::size_t index) {
    node_ = {};
    node_.name = op_label(index, name_of(op.kind));
    node_.op = name_of(op.kind);
    node_.inputs = {kNoValue};
    if (op.activation.any() && op.kind == OpKind::kGlobalAverage)
      fail(code::kInvalidArg, "expected a global average without a fused ReLU");
    if (op.activation.any()) node_.attributes.set("activation", "relu");
    if (op.from) set_quantization("input", *op.from);
    if (op.to && is_quantized(op.kind)) set_quantization("output", *op.to);
    switch (op.kind) {
      case OpKind::kConv:
      case OpKind::kQuantizedConv:
        add_convolution(op);
        break;
      case OpKind::kSqueezeExcite:
        check_state(spec_, op, shape_);
        constant(Dtype::kFloat32, {op.reduced, shape_.c}, state_ + op.weight);
        constant(Dtype::kFloat32, {op.reduced}, state_ + op.bias);
        constant(Dtype::kFloat32, {shape_.c, op.reduced}, state_ + op.up_weight);
        constant(Dtype::kFloat32, {shape_.c}, state_ + op.up_bias);
        break;
      case OpKind::kGlobalAverage:
        node_.op = "globalPool";
        node_.attributes.set("kind", "average");
        shape_.h = shape_.w = 1;
        break;
      case OpKind::kQuantizedGlobalAverage:
        shape_.h = shape_.w = 1;
        break;
      case OpKind::kQuantize:
      case OpKind::kDequantize:
        break;
      default:
        fail_incompatible();
    }
    node_.outputs = {type_of(op.to && is_quantized(op.kind) ? Dtype::kUint8 : Dtype::kFloat32)};
    graph_.nodes.push_back(std::move(node_));
  }

  [[noreturn]] static void fail_incompatible() {
    fail(code::kModelIncompatible,
         "expected a re-parameterised network (convolutions, pooling, linear): call switchToDeploy() first");
  }

  void add_convolution(const OpSpec& op) {
    if (op.identity) fail_incompatible();
    const ConvShape shape = op.conv_shape(shape_);
    shape.validate();
    const Dims weight{shape.out_c, shape.in_c / shape.groups, shape.kernel, shape.kernel};
    if (op.kind == OpKind::kConv) {
      check_state(spec_, op, shape_);
      constant(Dtype::kFloat32, weight, state_ + op.weight);
      if (op.bias != kNoTensor) constant(Dtype::kFloat32, {shape.out_c}, state_ + op.bias);
    } else {
      check_weights(*op.quantized, shape.out_c, shape.weight_elements() / shape.out_c, node_.name);
      constant(Dtype::kInt8, weight, op.quantized->weight.data());
      constant(Dtype::kInt32, {shape.out_c}, op.quantized->bias.data());
      constant(Dtype::kFloat32, {shape.out_c}, op.quantized->scale.data());
    }
    const auto sides = [&](const char* name, std::size_t value, std::size_t count) {
      node_.attributes.set(name, std::vector<double>(count, static_cast<double>(value)));
    };
    sides("kernel", op.kernel, 2);
    sides("strides", op.stride, 2);
    sides("pads", op.padding, 4);
    sides("dilations", op.dilation, 2);
    node_.attributes.set("group", static_cast<double>(op.groups));
    shape_ = {1, shape.out_c, shape.out_h(), shape.out_w()};
  }

  void set_quantization(const std::string& prefix, const Quantization& quantization) {
    node_.attributes.set(prefix + "Scale", static_cast<double>(quantization.scale()));
    node_.attributes.set(prefix + "ZeroPoint", static_cast<double>(quantization.zero_point()));
  }

  void constant(Dtype type, const Dims& dims, const void* data) {
    node_.inputs.push_back(1 + graph_.constants.size());
    graph_.constants.push_back({{type, dims}, static_cast<const std::byte*>(data)});
  }

  const ProgramSpec& spec_;
  const float* state_;
  GraphSpec graph_;
  NodeSpec node_;
  MapShape shape_;
};

}  // namespace

GraphSpec chain_graph(const ProgramSpec& spec, const float* state, Algorithm algorithm) {
  return ChainGraph(spec, state).build(algorithm);
}

InferenceProgram::InferenceProgram(const ProgramSpec& spec, const float* state, Algorithm algorithm, double min_macs)
    : input_{1, spec.c, spec.h, spec.w}, graph_(chain_graph(spec, state, algorithm), min_macs) {}

std::vector<Dims> InferenceProgram::dims_of(ImageSize size) const {
  if (size.h == 0 || size.w == 0)
    fail(code::kShape, "expected images of at least one pixel, received ", size.h, " x ", size.w);
  return {{1, input_.c, size.h, size.w}};
}

MapShape InferenceProgram::output_shape(ImageSize size) const {
  const Dims dims = graph_.outputs(dims_of(size)).front().dims;
  return {1, dims[1], dims[2], dims[3]};
}

void InferenceProgram::run(ImageSize size, const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop) {
  std::vector<GraphTask> list(count);
  for (std::size_t i = 0; i < count; ++i)
    list[i] = {{reinterpret_cast<const std::byte*>(tasks[i].input.floats)},
               {reinterpret_cast<std::byte*>(tasks[i].output)},
               tasks[i].input.bytes != nullptr ? tasks[i].input : Image{}};
  graph_.run(dims_of(size), list.data(), count, stop);
}

}  // namespace qarepvgg
