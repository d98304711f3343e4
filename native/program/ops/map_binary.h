// Functions of two numbers on a map and a map of the same dims, a map of one pixel, or a constant of one number or one
// per channel.
#pragma once

#include <memory>
#include <optional>

#include "kernels/tensor_kernels.h"
#include "program/op.h"

namespace qarepvgg {

// What an operand is beside a map.
enum class Beside { kMap, kPixel, kNumber, kChannels };

// For a map with these dims; nothing if `other` is none of these.
std::optional<Beside> beside_map(const Dims& map, const Source& other);

// On maps of floats. Null for other operands.
std::unique_ptr<Op> make_map_binary(const OpContext& context, Binary kind);

}  // namespace qarepvgg
