// What conv and convTranspose have in common: a node's window, weights and shapes.
#pragma once

#include <optional>

#include "ops/convolution.h"
#include "program/op.h"

namespace qarepvgg {

// The shapes of a convolution, of floats or integers.
struct ConvDims {
  MapShape in;
  std::size_t out_c = 0, groups = 1;
  Window window;
  MapShape out;

  // For an input of other images. Throws ERR_SHAPE where the kernel does not fit.
  void resize(const MapShape& input);
  double macs() const;
  // Zero pixels around the input that the forward convolution reads.
  std::size_t input_halo() const;
  // One kernel size, stride, padding and dilation for both sides, as ConvShape has them.
  bool is_square() const;
  ConvShape square(const MapShape& input) const;
  // The same with the channels that a map has with its padding, unless there are groups.
  ConvShape in_whole_lines(const MapShape& input) const;
};

// From a node's attributes and the dims of its input and weight, which it checks; `transposed`: those of convTranspose.
ConvDims read_conv_dims(const OpContext& context, bool transposed);

// A convolution of floats, read from its node and checked.
struct ConvNode : ConvDims {
  const float *weight = nullptr, *bias = nullptr;  // bias: null for none
  bool has_addend = false;                         // operand 3, whose place the result may take
  bool relu = false;
  float ceiling = kNoCeiling;         // of what ReLU leaves
  std::optional<UnaryFunction> then;  // another activation that stores know

  ValueType output() const { return {{Dtype::kFloat32, {out.n, out.c, out.h, out.w}}, Layout::kMap, 0}; }
  // Of a run; points into this node.
  ConvOptions options(const FeatureMap& addend) const {
    return {has_addend, relu, then ? &*then : nullptr, ceiling, has_addend ? &addend : nullptr};
  }
  FeatureMap addend_at(const Operands& at, const MapShape& shape) const {
    return has_addend ? at.input_map(3, shape) : FeatureMap{};
  }
  // The addend's shape among those of all operands.
  MapShape addend_of(const std::vector<ValueType>& inputs) const { return has_addend ? inputs[3].map() : MapShape{}; }
  bool applies_activation() const { return relu || then; }
};

// Throws ERR_MODEL_INCOMPATIBLE where weights are not constant.
ConvNode read_conv(const OpContext& context);
ConvNode read_conv_transpose(const OpContext& context);

}  // namespace qarepvgg
