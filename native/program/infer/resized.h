// A graph's ops and types for other dims of its inputs than those that it was compiled for.
#pragma once

#include <memory>
#include <vector>

#include "program/infer/graph_layout.h"

namespace qarepvgg {

struct Resized {
  std::vector<std::unique_ptr<Op>> ops;  // null if the op of the layout can be used
  std::vector<ValueType> types;          // by buffer
};
// Throws ERR_SHAPE for dims that do not fit the graph.
Resized resize(const GraphLayout& layout, const std::vector<Dims>& inputs);

}  // namespace qarepvgg
