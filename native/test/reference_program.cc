#include "test/reference_program.h"

#include <algorithm>
#include <cmath>

#include "reference/elementwise.h"
#include "reference/squeeze_excite.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

using reference::Tensor;
using reference::Values;

bool has_relu(const NodeSpec& node) { return node.attributes.has("activation"); }

// The tensors that a node reads, in some array that is as long as the state.
template <class Array>
class Tensors {
 public:
  Tensors(const ProgramSpec& spec, const NodeSpec& node, Array& array) : spec_(spec), node_(node), array_(array) {}

  // Of operand `input`; empty if there is none.
  Values operator[](std::size_t input) const {
    if (input >= node_.inputs.size()) return {};
    const auto first = array_.begin() + signed_size(tensor(input).offset);
    return {first, first + signed_size(elements_of(tensor(input).dims))};
  }
  void set(std::size_t input, const Values& values) const {
    std::copy(values.begin(), values.end(), array_.begin() + signed_size(tensor(input).offset));
  }
  void add(std::size_t input, const Values& values) const {
    for (std::size_t i = 0; i < values.size(); ++i) array_[tensor(input).offset + i] += values[i];
  }

 private:
  const StateTensor& tensor(std::size_t input) const { return *spec_.tensor(node_.inputs[input]); }

  const ProgramSpec& spec_;
  const NodeSpec& node_;
  Array& array_;
};

template <class Array>
reference::BatchNorm batch_norm_of(const NodeSpec& node, const Tensors<Array>& state) {
  return {state[1],
          state[2],
          state[3],
          state[4],
          state[5][0],
          node.attributes.number("epsilon"),
          node.attributes.number("momentum")};
}

reference::SqueezeExcite squeeze_excite_of(const Tensors<const Values>& state) {
  return {state[1], state[2], state[3], state[4]};
}

}  // namespace

reference::Convolution convolution_of(const NodeSpec& node, std::size_t out_channels) {
  const auto side = [&](const char* name) { return node.attributes.sizes(name)[0]; };
  return {out_channels, side("kernel"),    side("strides"),
          side("pads"), side("dilations"), node.attributes.size("group")};
}

const Tensor& ReferenceProgram::forward(const Tensor& input, Values& state) {
  margin_ = 1;
  largest_value_ = largest(input.data);
  values_ = {input};
  statistics_.assign(spec_.nodes.size(), {});
  for (std::size_t i = 0; i < spec_.nodes.size(); ++i) {
    Tensor y = run(i, state);
    largest_value_ = std::max(largest_value_, largest(y.data));
    values_.push_back(has_relu(spec_.nodes[i]) ? relu(y) : std::move(y));
  }
  return values_.back();
}

Tensor ReferenceProgram::relu(const Tensor& x) {
  const double top = largest(x.data);
  for (double value : x.data)
    if (value != 0) margin_ = std::min(margin_, std::abs(value) / top);
  return reference::relu(x);
}

Tensor ReferenceProgram::run(std::size_t index, Values& all) {
  const NodeSpec& node = spec_.nodes[index];
  const Tensor& x = values_[spec_.map(node.inputs[0])];
  const Tensors<const Values> state(spec_, node, all);
  if (node.op == "conv") {
    const Values bias = state[2];
    const std::size_t out_channels = spec_.tensor(node.inputs[1])->dims[0];
    const Tensor y = reference::convolve(x, state[1], bias, convolution_of(node, out_channels));
    return node.attributes.flag("identity") ? reference::add({&x, &y}) : y;
  }
  if (node.op == "batchNorm") {
    reference::BatchNorm norm = batch_norm_of(node, state);
    statistics_[index] = {norm.running_mean, norm.running_var};
    if (spec_.training) {
      statistics_[index] = reference::batch_statistics(x);
      reference::update_running_statistics(norm, statistics_[index], x.dims);
      const Tensors<Values> changed(spec_, node, all);
      changed.set(3, norm.running_mean);
      changed.set(4, norm.running_var);
      changed.set(5, {norm.batches});
    }
    const Tensor y = reference::normalize(x, norm, statistics_[index]);
    return node.inputs.size() > 6 ? reference::add({&y, &values_[spec_.map(node.inputs[6])]}) : y;
  }
  if (node.op == "sum") {
    std::vector<const Tensor*> operands;
    for (ValueId id : node.inputs) operands.push_back(&values_[spec_.map(id)]);
    return reference::add(operands);
  }
  if (node.op == "scale") return reference::scale(x, state[1][0]);
  if (node.op == "averagePool") return reference::average3x3(x);
  if (node.op == "globalPool") return reference::global_average(x);
  const reference::SqueezeExcite weights = squeeze_excite_of(state);
  return reference::excite(x, relu(reference::squeeze(x, weights)), weights);
}

Tensor ReferenceProgram::backward(const Tensor& grad_output, const Values& state, Values& gradients) {
  std::vector<Tensor> grads;
  for (const Tensor& value : values_) grads.emplace_back(value.dims);
  grads.back() = grad_output;
  for (std::size_t i = spec_.nodes.size(); i-- > 0;) {
    const Tensor grad_y =
        has_relu(spec_.nodes[i]) ? reference::relu_gradient(grads[i + 1], values_[i + 1]) : grads[i + 1];
    differentiate(i, grad_y, state, gradients, grads);
  }
  largest_gradient_ = largest(gradients);
  for (const Tensor& grad : grads) largest_gradient_ = std::max(largest_gradient_, largest(grad.data));
  return grads.front();
}

void ReferenceProgram::differentiate(std::size_t index, const Tensor& grad_y, const Values& all, Values& all_gradients,
                                     std::vector<Tensor>& grads) const {
  const NodeSpec& node = spec_.nodes[index];
  const Tensor& x = values_[spec_.map(node.inputs[0])];
  const Tensors<const Values> state(spec_, node, all);
  const Tensors<Values> gradients(spec_, node, all_gradients);
  const auto add_to = [&](std::size_t input, const Tensor& grad) {
    Tensor& sum = grads[spec_.map(node.inputs[input])];
    sum = reference::add({&sum, &grad});
  };
  if (node.op == "conv") {
    const reference::Convolution conv = convolution_of(node, grad_y.dims.c);
    gradients.add(1, reference::convolution_weight_gradient(x, grad_y, conv));
    if (node.inputs.size() > 2) gradients.add(2, reference::convolution_bias_gradient(grad_y));
    if (node.attributes.flag("identity")) add_to(0, grad_y);
    add_to(0, reference::convolution_data_gradient(grad_y, state[1], conv, x.dims));
  } else if (node.op == "batchNorm") {
    const auto grad =
        reference::batch_norm_gradients(x, grad_y, batch_norm_of(node, state), statistics_[index], spec_.training);
    gradients.add(1, grad.weight);
    gradients.add(2, grad.bias);
    add_to(0, grad.x);
    if (node.inputs.size() > 6) add_to(6, grad_y);
  } else if (node.op == "sum") {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) add_to(i, grad_y);
  } else if (node.op == "scale") {
    gradients.add(1, {reference::dot(grad_y, x)});
    add_to(0, reference::scale(grad_y, state[1][0]));
  } else if (node.op == "averagePool") {
    add_to(0, reference::average3x3(grad_y));
  } else if (node.op == "globalPool") {
    add_to(0, reference::global_average_gradient(grad_y, x.dims));
  } else {
    const auto grad = reference::squeeze_excite_gradients(x, grad_y, squeeze_excite_of(state));
    gradients.add(1, grad.weights.down);
    gradients.add(2, grad.weights.down_bias);
    gradients.add(3, grad.weights.up);
    gradients.add(4, grad.weights.up_bias);
    add_to(0, grad.x);
  }
}

}  // namespace qarepvgg::test
