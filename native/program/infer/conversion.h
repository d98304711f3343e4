// Conversions between plain tensors and maps.
#pragma once

#include <memory>

#include "program/op.h"

namespace qarepvgg {

// The type of the same numbers in another layout. A plain tensor of integers does not say what they represent.
ValueType in_layout(ValueType type, Layout layout);
// Plain [n, c, h, w] -> a map of floats. Writes the interior only.
std::unique_ptr<Step> make_import_step(const MapShape& map, std::size_t members);
// A map of floats or integers -> plain [n, c, h, w].
std::unique_ptr<Step> make_export_step(const ValueType& map, std::size_t members);
// Copies bytes.
std::unique_ptr<Step> make_copy_step(std::size_t bytes, std::size_t members);

}  // namespace qarepvgg
