// From plain tensors to maps and back.
#pragma once

#include <memory>

#include "program/op.h"

namespace qarepvgg {

// Plain [n, c, h, w] -> a map of these dims. Writes the interior only.
std::unique_ptr<Step> make_import_step(const MapShape& map, std::size_t members);
std::unique_ptr<Step> make_export_step(const MapShape& map, std::size_t members);
// Bytes as they are.
std::unique_ptr<Step> make_copy_step(std::size_t bytes, std::size_t members);

}  // namespace qarepvgg
