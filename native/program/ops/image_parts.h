// The common part of ops on images of floats or integers.
#pragma once

#include "program/op.h"

namespace qarepvgg {

// Shape of operand 0. Throws ERR_DTYPE or ERR_SHAPE unless it is [n, c, h, w] of this type, with no dim of 0.
MapShape read_image(const OpContext& context, Dtype type);
// Elements of a constant operand with this type and these dims. Throws ERR_MODEL_INCOMPATIBLE for a computed operand,
// ERR_DTYPE or ERR_SHAPE.
const std::byte* read_constant(const OpContext& context, std::size_t input, Dtype type, const Dims& dims);
inline const float* read_floats(const OpContext& context, std::size_t input, const Dims& dims) {
  return reinterpret_cast<const float*>(read_constant(context, input, Dtype::kFloat32, dims));
}

ValueType float_map(const MapShape& shape);
// The type of a map of integers for the instruction set in use.
ValueType integer_map(const MapShape& shape, const Quantization& quantization);

// Reads the attributes <prefix>Scale and <prefix>ZeroPoint.
Quantization read_quantization(const OpContext& context, const std::string& prefix);
// Quantisation of an operand. Throws ERR_INVALID_ARG if it is floats, ERR_QUANT_PARAM if the node's attributes differ.
Quantization read_input_quantization(const OpContext& context, std::size_t input = 0,
                                     const std::string& prefix = "input");

}  // namespace qarepvgg
