#include "program/ops/image_parts.h"

#include "kernels/dispatch.h"

namespace qarepvgg {

MapShape read_image(const OpContext& context, Dtype type) {
  const TensorType& tensor = context.inputs.at(0).tensor;
  if (tensor.type != type)
    fail(code::kDtype, "expected an input of ", name_of(type), ", received ", name_of(tensor.type));
  const Dims& dims = tensor.dims;
  if (dims.size() != 4 || elements_of(dims) == 0)
    fail(code::kShape, "expected an input of 4 dims of at least 1, received ", text_of(dims));
  return {dims[0], dims[1], dims[2], dims[3]};
}

const std::byte* read_constant(const OpContext& context, std::size_t input, Dtype type, const Dims& dims) {
  const Source& source = context.inputs[input];
  if (source.constant == nullptr)
    fail(code::kModelIncompatible, "expected operand ", input, " to be constant, received one that is computed");
  if (source.tensor.type != type)
    fail(code::kDtype, "expected operand ", input, " to be ", name_of(type), ", received ",
         name_of(source.tensor.type));
  if (source.dims() != dims)
    fail(code::kShape, "expected operand ", input, " to be ", text_of(dims), ", received ", text_of(source.dims()));
  return source.constant;
}

ValueType float_map(const MapShape& shape) {
  return {{Dtype::kFloat32, {shape.n, shape.c, shape.h, shape.w}}, Layout::kMap, 0};
}

ValueType integer_map(const MapShape& shape, const Quantization& quantization) {
  ValueType type{{Dtype::kUint8, {shape.n, shape.c, shape.h, shape.w}}, Layout::kMap, 0, quantization};
  type.element = static_cast<std::size_t>(active_kernels().integer->element_bytes);
  return type;
}

Quantization read_quantization(const OpContext& context, const std::string& prefix) {
  const Attributes& attributes = context.attributes();
  return {attributes.number(prefix + "Scale"), attributes.number(prefix + "ZeroPoint"), "its " + prefix};
}

Quantization read_input_quantization(const OpContext& context, std::size_t input, const std::string& prefix) {
  const Quantization said = read_quantization(context, prefix);
  const std::optional<Quantization>& given = context.inputs.at(input).quantization;
  if (!given) fail(code::kInvalidArg, "expected to read integers, received floats");
  if (!(*given == said))
    fail(code::kQuantParam, "expected the scale and zero point of its input, ", given->scale(), " and ",
         static_cast<int>(given->zero_point()), ", received ", said.scale(), " and ",
         static_cast<int>(said.zero_point()));
  return said;
}

}  // namespace qarepvgg
