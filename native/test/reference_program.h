// Runs the nodes of a program one after the other with the reference, every tensor in memory of its own.
#pragma once

#include <vector>

#include "program/train/spec.h"
#include "reference/batch_norm.h"
#include "reference/convolution.h"
#include "reference/tensor.h"

namespace qarepvgg::test {

// The convolution of a node with a square window.
reference::Convolution convolution_of(const NodeSpec& node, std::size_t out_channels);

class ReferenceProgram {
 public:
  explicit ReferenceProgram(const ProgramSpec& spec) : spec_(spec) {}

  // Running statistics in `state` are updated when training.
  const reference::Tensor& forward(const reference::Tensor& input, reference::Values& state);
  // Gradient of the last forward's input; adds to `gradients`.
  reference::Tensor backward(const reference::Tensor& grad_output, const reference::Values& state,
                             reference::Values& gradients);

  // Largest magnitude of any value between nodes, and of any of their gradients. Rounding errors are relative to these.
  double largest_value() const { return largest_value_; }
  double largest_gradient() const { return largest_gradient_; }
  // How near the inputs of ReLUs came to zero in the last forward: the smallest magnitude other than zero, relative to
  // the largest input of the same ReLU.
  double margin() const { return margin_; }

 private:
  reference::Tensor run(std::size_t index, reference::Values& state);
  void differentiate(std::size_t index, const reference::Tensor& grad_y, const reference::Values& state,
                     reference::Values& gradients, std::vector<reference::Tensor>& grads) const;
  reference::Tensor relu(const reference::Tensor& x);

  ProgramSpec spec_;
  std::vector<reference::Tensor> values_;          // by MapId
  std::vector<reference::Statistics> statistics_;  // of every batch norm, by node
  double largest_value_ = 0, largest_gradient_ = 0, margin_ = 1;
};

}  // namespace qarepvgg::test
