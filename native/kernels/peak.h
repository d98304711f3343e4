// The machine's peak: what kernels are measured against.
#pragma once

#include <cstddef>

namespace qarepvgg {

// Operations per second of a register-only loop, which returns how many it has done, on `threads` threads together.
double measure_peak(double (*loop)(std::size_t iterations), int threads);

}  // namespace qarepvgg
