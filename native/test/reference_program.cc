#include "test/reference_program.h"

#include <algorithm>
#include <cmath>

#include "reference/convolution.h"
#include "reference/elementwise.h"
#include "reference/quantized.h"
#include "reference/squeeze_excite.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

using reference::Tensor;
using reference::Values;

Values slice(const Values& state, StateOffset offset, std::size_t count) {
  const auto first = state.begin() + static_cast<std::ptrdiff_t>(offset);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

void add_slice(Values& state, StateOffset offset, const Values& values) {
  for (std::size_t i = 0; i < values.size(); ++i) state[offset + i] += values[i];
}

reference::Convolution convolution_of(const OpSpec& op) {
  return {op.out_channels, op.kernel, op.stride, op.padding, op.dilation, op.groups};
}

Values weight_of(const OpSpec& op, const Tensor& x, const Values& state) {
  return slice(state, op.weight, op.out_channels * (x.dims.c / op.groups) * op.kernel * op.kernel);
}

reference::BatchNorm batch_norm_of(const OpSpec& op, std::size_t channels, const Values& state) {
  const auto tensor = [&](StateOffset offset) { return slice(state, offset, channels); };
  return {
      tensor(op.weight), tensor(op.bias), tensor(op.running_mean), tensor(op.running_var), state[op.batches], op.eps,
      op.momentum};
}

reference::SqueezeExcite squeeze_excite_of(const OpSpec& op, std::size_t channels, const Values& state) {
  return {slice(state, op.weight, op.reduced * channels), slice(state, op.bias, op.reduced),
          slice(state, op.up_weight, op.reduced * channels), slice(state, op.up_bias, channels)};
}

reference::Quantized quantized_of(const Quantization& q) { return {q.scale(), q.zero_point()}; }

reference::QuantizedConvolution quantized_convolution_of(const OpSpec& op) {
  reference::QuantizedConvolution conv{convolution_of(op),  quantized_of(*op.from), {},
                                       op.activation.any(), op.quantized->weight,   op.quantized->bias,
                                       op.quantized->scale};
  if (op.to) conv.to = quantized_of(*op.to);
  return conv;
}

void store_statistics(const OpSpec& op, const reference::BatchNorm& norm, Values& state) {
  std::copy(norm.running_mean.begin(), norm.running_mean.end(),
            state.begin() + static_cast<std::ptrdiff_t>(op.running_mean));
  std::copy(norm.running_var.begin(), norm.running_var.end(),
            state.begin() + static_cast<std::ptrdiff_t>(op.running_var));
  state[op.batches] = norm.batches;
}

}  // namespace

const Tensor& ReferenceProgram::forward(const Tensor& input, Values& state) {
  margin_ = 1;
  largest_value_ = largest(input.data);
  values_ = {input};
  statistics_.assign(spec_.ops.size(), {});
  for (std::size_t i = 0; i < spec_.ops.size(); ++i) {
    Tensor y = run(i, state);
    largest_value_ = std::max(largest_value_, largest(y.data));
    values_.push_back(spec_.ops[i].activation.any() || spec_.ops[i].kind == OpKind::kRelu ? relu(y) : std::move(y));
  }
  return values_.back();
}

Tensor ReferenceProgram::relu(const Tensor& x) {
  const double top = largest(x.data);
  for (double value : x.data)
    if (value != 0) margin_ = std::min(margin_, std::abs(value) / top);
  return reference::relu(x);
}

Tensor ReferenceProgram::run(std::size_t index, Values& state) {
  const OpSpec& op = spec_.ops[index];
  const Tensor& x = values_[op.inputs.front()];
  switch (op.kind) {
    case OpKind::kConv: {
      const Values bias = op.bias == kNoTensor ? Values{} : slice(state, op.bias, op.out_channels);
      return reference::convolve(x, weight_of(op, x, state), bias, convolution_of(op));
    }
    case OpKind::kBatchNorm: {
      reference::BatchNorm norm = batch_norm_of(op, x.dims.c, state);
      statistics_[index] = {norm.running_mean, norm.running_var};
      if (spec_.training) {
        statistics_[index] = reference::batch_statistics(x);
        reference::update_running_statistics(norm, statistics_[index], x.dims);
        store_statistics(op, norm, state);
      }
      const Tensor y = reference::normalize(x, norm, statistics_[index]);
      return op.inputs.size() > 1 ? reference::add({&y, &values_[op.inputs[1]]}) : y;
    }
    case OpKind::kAdd: {
      std::vector<const Tensor*> operands;
      for (ValueId id : op.inputs) operands.push_back(&values_[id]);
      return reference::add(operands);
    }
    case OpKind::kScale:
      return reference::scale(x, state[op.weight]);
    case OpKind::kAveragePool:
      return reference::average3x3(x);
    case OpKind::kGlobalAverage:
      return reference::global_average(x);
    case OpKind::kSqueezeExcite: {
      const reference::SqueezeExcite weights = squeeze_excite_of(op, x.dims.c, state);
      return reference::excite(x, relu(reference::squeeze(x, weights)), weights);
    }
    case OpKind::kQuantize:
      return reference::quantize(x, quantized_of(*op.to));
    case OpKind::kDequantize:
      return reference::dequantize(x, quantized_of(*op.from));
    case OpKind::kQuantizedConv:
      return reference::quantized_convolve(x, quantized_convolution_of(op));
    case OpKind::kQuantizedGlobalAverage:
      return reference::quantized_global_average(x, quantized_of(*op.from), quantized_of(*op.to));
    case OpKind::kRelu:
      break;  // forward() does the rest
  }
  return x;
}

Tensor ReferenceProgram::backward(const Tensor& grad_output, const Values& state, Values& gradients) {
  std::vector<Tensor> grads;
  for (const Tensor& value : values_) grads.emplace_back(value.dims);
  grads.back() = grad_output;
  for (std::size_t i = spec_.ops.size(); i-- > 0;) {
    const bool relu = spec_.ops[i].activation.any() || spec_.ops[i].kind == OpKind::kRelu;
    const Tensor grad_y = relu ? reference::relu_gradient(grads[i + 1], values_[i + 1]) : grads[i + 1];
    differentiate(i, grad_y, state, gradients, grads);
  }
  largest_gradient_ = largest(gradients);
  for (const Tensor& grad : grads) largest_gradient_ = std::max(largest_gradient_, largest(grad.data));
  return grads.front();
}

void ReferenceProgram::differentiate(std::size_t index, const Tensor& grad_y, const Values& state, Values& gradients,
                                     std::vector<Tensor>& grads) const {
  const OpSpec& op = spec_.ops[index];
  const Tensor& x = values_[op.inputs.front()];
  const auto add_to = [&](ValueId id, const Tensor& grad) { grads[id] = reference::add({&grads[id], &grad}); };
  const auto add_to_input = [&](const Tensor& grad) {
    for (ValueId id : op.inputs) add_to(id, grad);
  };
  switch (op.kind) {
    case OpKind::kConv: {
      const reference::Convolution conv = convolution_of(op);
      add_slice(gradients, op.weight, reference::convolution_weight_gradient(x, grad_y, conv));
      if (op.bias != kNoTensor) add_slice(gradients, op.bias, reference::convolution_bias_gradient(grad_y));
      return add_to_input(reference::convolution_data_gradient(grad_y, weight_of(op, x, state), conv, x.dims));
    }
    case OpKind::kBatchNorm: {
      const auto grad = reference::batch_norm_gradients(x, grad_y, batch_norm_of(op, x.dims.c, state),
                                                        statistics_[index], spec_.training);
      add_slice(gradients, op.weight, grad.weight);
      add_slice(gradients, op.bias, grad.bias);
      add_to(op.inputs.front(), grad.x);
      if (op.inputs.size() > 1) add_to(op.inputs[1], grad_y);
      return;
    }
    case OpKind::kScale:
      gradients[op.weight] += reference::dot(grad_y, x);
      return add_to_input(reference::scale(grad_y, state[op.weight]));
    case OpKind::kAveragePool:
      return add_to_input(reference::average3x3(grad_y));
    case OpKind::kGlobalAverage:
      return add_to_input(reference::global_average_gradient(grad_y, x.dims));
    case OpKind::kSqueezeExcite: {
      const auto grad = reference::squeeze_excite_gradients(x, grad_y, squeeze_excite_of(op, x.dims.c, state));
      add_slice(gradients, op.weight, grad.weights.down);
      add_slice(gradients, op.bias, grad.weights.down_bias);
      add_slice(gradients, op.up_weight, grad.weights.up);
      add_slice(gradients, op.up_bias, grad.weights.up_bias);
      return add_to_input(grad.x);
    }
    case OpKind::kAdd:
    case OpKind::kRelu:
      return add_to_input(grad_y);
    case OpKind::kQuantize:
    case OpKind::kDequantize:
    case OpKind::kQuantizedConv:
    case OpKind::kQuantizedGlobalAverage:
      break;  // are not trained
  }
}

}  // namespace qarepvgg::test
