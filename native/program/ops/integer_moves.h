// Ops that move integers of a map without changing them.
#pragma once

#include <memory>
#include <vector>

#include "program/op.h"

namespace qarepvgg {

// For each axis, the index of the operand that each index of the output reads.
using AxisSources = std::vector<std::vector<std::size_t>>;
// Marks an index that reads nothing of the operand, but zero or another value.
inline constexpr std::size_t kOutside = static_cast<std::size_t>(-1);

// Makes the op of a node whose operand is a map of integers: pad, slice or resize. An index outside reads the zero
// point.
std::unique_ptr<Op> make_integer_move(const OpContext& context, AxisSources sources);

// The attributes mode, before and after of `pad`.
struct Pads {
  enum class Mode { kConstant, kEdge, kReflect } mode = Mode::kConstant;
  Dims in, before, dims;  // dims: of the output

  AxisSources sources() const;
};
Pads read_pads(const OpContext& context);

}  // namespace qarepvgg
