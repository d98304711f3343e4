// The common part of conv and convTranspose: a node's window, weights and shapes.
#pragma once

#include <memory>

#include "kernels/dispatch.h"
#include "ops/activation.h"
#include "ops/conv_shape.h"
#include "ops/stem_lines.h"
#include "program/op.h"
#include "program/ops/image_parts.h"

namespace qarepvgg {

// The shapes of a convolution, of floats or integers.
struct ConvDims {
  MapShape in;
  std::size_t out_c = 0, groups = 1;
  Window window;
  MapShape out;
  bool transposed = false;

  // Changes the number or size of images. Throws ERR_SHAPE if the kernel does not fit. Returns false if it cannot: the
  // size of a transposed convolution's output depends on attributes, too.
  bool resize(const MapShape& input);
  bool same_dims(const ConvDims& other) const;
  double macs() const;
  // Zero pixels around the input that the forward convolution reads.
  std::size_t input_halo() const;
  // Whether kernel size, stride, padding and dilation are the same for both sides, as ConvShape needs.
  bool is_square() const;
  ConvShape square(const MapShape& input) const;
  // The same for Winograd: padding lanes are channels, unless there are groups, and the border of an unpadded map is
  // the padding of its inside.
  ConvShape winograd_shape(const MapShape& input) const;
};

// Reads and checks a node's attributes and the dims of its weight. `transposed`: for convTranspose.
ConvDims read_conv_dims(const OpContext& context, const MapShape& in, bool transposed);

// A convolution of floats, read from its node and checked.
struct ConvNode : ConvDims {
  using Numbers = FloatNumbers;
  using Lines = FloatLines;
  struct Outputs;

  const float *weight = nullptr, *bias = nullptr;  // bias: may be null
  bool has_addend = false;                         // operand 3, which the output may overwrite
  Activation activation;                           // that the kernel applies

  ValueType output() const { return float_map(out); }
  const float* first_weight() const { return weight; }
  bool has_transposed_weight() const { return transposed; }
  // Packs the biases, or zeros, for all groups.
  void pack_bias(const Panels& panels, float* packed) const;
  FloatLines lines(const MapShape& image) const { return {image, active_kernels()}; }
  // Options of a run; they point into this node.
  ConvOptions options(const FeatureMap& addend) const {
    return {has_addend, activation.clamp(), activation.then(), has_addend ? &addend : nullptr};
  }
  FeatureMap addend_at(const Operands& at, const MapShape& shape) const {
    return has_addend ? at.input_map(3, shape) : FeatureMap{};
  }
  // The addend's shape among those of all operands.
  MapShape addend_of(const std::vector<ValueType>& inputs) const { return has_addend ? inputs[3].map() : MapShape{}; }
};

// What a step does with its sums.
struct ConvNode::Outputs {
  ConvNode node;
  const float* bias;  // packed
  MapShape addend;

  template <class Body>
  void use(const Operands& at, const Body& body) const {
    const FeatureMap map = node.addend_at(at, addend);
    const FloatOutput output{bias, node.options(map)};
    body(&output);
  }
};

// Throws ERR_MODEL_INCOMPATIBLE if weights are not constant. `transposed`: for convTranspose.
ConvNode read_conv(const OpContext& context, bool transposed);

}  // namespace qarepvgg
