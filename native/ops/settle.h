// Floats of a file, which stand at any byte.
#pragma once

#include <cstddef>

namespace qarepvgg {

// Copies floats to where they are aligned. The new place may overlap the old one if it comes before it. Returns whether
// all of them are finite.
bool settle(const std::byte* from, std::size_t count, float* to);

}  // namespace qarepvgg
