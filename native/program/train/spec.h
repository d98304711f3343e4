// The description that a program is compiled from: the C++ side of `ProgramSpec` in binding.d.ts.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/conv_shape.h"
#include "ops/quantization.h"

namespace qarepvgg {

// Offset of a tensor in the flat state, in floats.
using StateOffset = std::size_t;
inline constexpr StateOffset kNoTensor = static_cast<StateOffset>(-1);

// Value 0 is the network's input; op number i makes value i + 1.
using ValueId = std::size_t;

enum class OpKind {
  kConv,
  kBatchNorm,
  kAdd,
  kScale,
  kAveragePool,
  kRelu,
  kGlobalAverage,
  kSqueezeExcite,
  kQuantize,
  kDequantize,
  kQuantizedConv,
  kQuantizedGlobalAverage
};
// The name in binding.d.ts.
const char* name_of(OpKind kind);
// Whether the op reads or writes integers.
bool is_quantized(OpKind kind);

struct OpSpec {
  OpKind kind{};
  std::vector<ValueId> inputs;
  Activation activation;  // of conv, batch norm, add, squeeze-excite and quantized conv: a ReLU or none

  // conv and quantized conv
  std::size_t out_channels = 0, kernel = 0, stride = 0, padding = 0, dilation = 0, groups = 0;
  bool identity = false;  // a 1x1 convolution that adds its input to its result
  // conv and batch norm; scale uses `weight` for its factor
  StateOffset weight = kNoTensor, bias = kNoTensor;
  // squeeze and excitation, besides `weight` and `bias` of its first linear layer
  std::size_t reduced = 0;
  StateOffset up_weight = kNoTensor, up_bias = kNoTensor;
  // batch norm
  StateOffset running_mean = kNoTensor, running_var = kNoTensor, batches = kNoTensor;
  double eps = 0, momentum = 0;
  // Ops on integers: quantisation of their input (also for dequantize) and of their output (also for quantize). A
  // quantized conv without the latter writes floats.
  std::optional<Quantization> from, to;
  std::shared_ptr<const QuantizedWeights> quantized;

  // Index of the first operand that is only added to the output: the first of a sum, the second of a batch norm.
  std::size_t first_addend() const { return kind == OpKind::kAdd ? 0 : kind == OpKind::kBatchNorm ? 1 : inputs.size(); }
  bool reads_integers() const { return is_quantized(kind) && kind != OpKind::kQuantize; }
  ConvShape conv_shape(const MapShape& input) const {
    return {input.n, input.c, input.h, input.w, out_channels, kernel, stride, padding, dilation, groups};
  }
};

struct ProgramSpec {
  std::size_t n = 0, c = 0, h = 0, w = 0;
  std::vector<OpSpec> ops;
  std::size_t state_length = 0;
  bool training = false;       // batch norm uses and updates batch statistics
  bool gradients = false;      // keep activations for a backward pass
  bool input_gradient = true;  // whether the backward pass computes the gradient of the input
  int threads = 0;             // upper limit; 0: the process's budget
};

struct MapShape;

// Throws ERR_INVALID_ARG unless every tensor that the op names is inside the state. input: shape of its first operand.
void check_state(const ProgramSpec& spec, const OpSpec& op, const MapShape& input);

}  // namespace qarepvgg
