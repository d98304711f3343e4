// Places every tensor of a program in its arena. A run is a sequence of numbered steps. A tensor is alive from the step
// that first writes it to the step that last reads it, and tensors that are never alive at the same time may share
// memory.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "program/train/node.h"

namespace qarepvgg {

struct StepNumbers {
  std::size_t nodes;

  std::size_t import_input() const { return 0; }
  std::size_t forward(std::size_t node) const { return node + 1; }
  std::size_t export_output() const { return nodes + 1; }
  std::size_t import_gradient() const { return nodes + 2; }
  std::size_t backward(std::size_t node) const { return 2 * nodes + 2 - node; }
  std::size_t export_gradient() const { return 2 * nodes + 3; }
  std::size_t count() const { return 2 * nodes + 4; }
};

struct MemoryPlan {
  struct Placed {
    std::size_t offset = 0, halo = 0;
  };
  // A map that shares memory with other tensors: its zeros must be restored before `step` writes it.
  struct Clear {
    std::size_t step, value;
    bool grad;
  };

  std::size_t floats = 0, steps = 0;
  std::vector<Placed> maps, grads;    // by value
  bool omits_input_gradient = false;  // then it has no place
  std::vector<std::vector<bool>>
      accumulate;  // by node and input: whether a later reader has written the gradient already
  std::vector<std::size_t> saved, forward_scratch, backward_scratch;  // offsets, by node
  std::vector<Clear> clears;
};

MemoryPlan plan_memory(const std::vector<std::unique_ptr<Node>>& nodes, const std::vector<Value>& values,
                       const ProgramSpec& spec);

}  // namespace qarepvgg
