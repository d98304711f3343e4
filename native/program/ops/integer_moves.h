// Integers of a map moved about unchanged.
#pragma once

#include <memory>
#include <vector>

#include "program/op.h"

namespace qarepvgg {

// For each axis, which index of the operand an index of the result shows.
using AxisSources = std::vector<std::vector<std::size_t>>;
// What shows nothing of the operand, but zero or another value.
inline constexpr std::size_t kOutside = static_cast<std::size_t>(-1);

// The op of a node whose operand is a map of integers: pad, slice and resize. What is outside is the zero point.
std::unique_ptr<Op> make_integer_move(const OpContext& context, AxisSources sources);

// How `pad` is to make a tensor larger: the attributes mode, before and after.
struct Pads {
  enum class Mode { kConstant, kEdge, kReflect } mode = Mode::kConstant;
  Dims in, before, dims;  // dims: of the result

  AxisSources sources() const;
};
Pads read_pads(const OpContext& context);

}  // namespace qarepvgg
