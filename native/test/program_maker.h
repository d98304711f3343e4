// Builds a program node by node.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "program/train/spec.h"
#include "test/attributes.h"

namespace qarepvgg::test {

// Tensors are numbered before the outputs of nodes. Until all are known, an operand is a MapId, or this plus the number
// of a tensor.
inline constexpr ValueId kTensors = ValueId{1} << 32;

struct ProgramMaker {
  ProgramSpec spec;

  MapId last() const { return spec.nodes.size(); }
  ValueId tensor(StateOffset offset, Dims dims) {
    spec.tensors.push_back({offset, std::move(dims)});
    return kTensors + spec.tensors.size();
  }
  MapId node(const std::string& op, std::vector<ValueId> inputs, const Attributes& attributes = {}) {
    spec.nodes.push_back({op, op + " " + std::to_string(spec.nodes.size()), std::move(inputs), {}, attributes});
    return last();
  }
  // `state_length`: of a state with all tensors.
  ProgramSpec finish(std::size_t state_length) {
    spec.state_length = state_length;
    for (NodeSpec& node : spec.nodes)
      for (ValueId& id : node.inputs)
        if (id > kTensors)
          id -= kTensors;
        else if (id > 0)
          id += spec.tensors.size();
    return std::move(spec);
  }
};

}  // namespace qarepvgg::test
