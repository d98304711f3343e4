// Places every tensor of a program in its arena. A run is a sequence of numbered steps. A tensor is alive from the step
// that first writes it to the step that last reads it, and tensors that are never alive at the same time may share
// memory.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "program/train/trained_op.h"

namespace qarepvgg {

struct StepNumbers {
  std::size_t ops;

  std::size_t import_input() const { return 0; }
  std::size_t forward(std::size_t op) const { return op + 1; }
  std::size_t export_output() const { return ops + 1; }
  std::size_t import_gradient() const { return ops + 2; }
  std::size_t backward(std::size_t op) const { return 2 * ops + 2 - op; }
  std::size_t export_gradient() const { return 2 * ops + 3; }
  std::size_t count() const { return 2 * ops + 4; }
};

struct MemoryPlan {
  struct Placed {
    std::size_t offset = 0, halo = 0;
  };
  // A map that shares memory with other tensors: its zeros must be restored before `step` writes it.
  struct Clear {
    std::size_t step;
    MapId value;
    bool grad;
  };

  std::size_t floats = 0, steps = 0;
  std::vector<Placed> maps, grads;    // by MapId
  bool omits_input_gradient = false;  // then it has no place
  std::vector<std::vector<bool>>
      accumulate;  // by op and input: whether a later reader has written the gradient already
  std::vector<std::size_t> saved, forward_scratch, backward_scratch;  // offsets, by op
  std::vector<Clear> clears;
};

MemoryPlan plan_memory(const std::vector<std::unique_ptr<TrainedOp>>& ops, const std::vector<Value>& values,
                       const ProgramSpec& spec);

}  // namespace qarepvgg
