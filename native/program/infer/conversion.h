// Conversions between plain tensors and maps.
#pragma once

#include <memory>

#include "program/op.h"

namespace qarepvgg {

// Plain [n, c, h, w] -> a map with these dims. Writes the interior only.
std::unique_ptr<Step> make_import_step(const MapShape& map, std::size_t members);
std::unique_ptr<Step> make_export_step(const MapShape& map, std::size_t members);
// Copies bytes.
std::unique_ptr<Step> make_copy_step(std::size_t bytes, std::size_t members);

}  // namespace qarepvgg
