// The description that a program is compiled from: the C++ side of `ProgramSpec` in binding.d.ts.
#pragma once

#include <cstddef>
#include <vector>

#include "program/graph.h"

namespace qarepvgg {

// Offset of a tensor in the flat state, in floats.
using StateOffset = std::size_t;

// Number of a map: 0 is the program's input, and node i makes map i + 1.
using MapId = std::size_t;

// A tensor of the state: parameters and running statistics.
struct StateTensor {
  StateOffset offset;
  Dims dims;
};

// Values are numbered: 0 is the input, then come the tensors, then the outputs of the nodes, one of each, in order. The
// program's output is that of the last node.
struct ProgramSpec {
  Dims input;  // [n, c, h, w]
  std::vector<StateTensor> tensors;
  std::vector<NodeSpec> nodes;  // types of outputs are not read
  std::size_t state_length = 0;
  bool training = false;       // batch norm uses and updates batch statistics
  bool gradients = false;      // keep activations for a backward pass
  bool input_gradient = true;  // whether the backward pass computes the gradient of the input
  int threads = 0;             // upper limit; 0: the process's budget

  // Null for the input or the output of a node.
  const StateTensor* tensor(ValueId id) const { return id > 0 && id <= tensors.size() ? &tensors[id - 1] : nullptr; }
  // Of a value that is no tensor.
  MapId map(ValueId id) const { return id == 0 ? 0 : id - tensors.size(); }
};

}  // namespace qarepvgg
