// The machine's peak, with which kernels are compared.
#pragma once

#include <cstddef>

namespace qarepvgg {

// Operations per second of a loop in registers, which returns the number of its operations, on `threads` threads
// together.
double measure_peak(double (*loop)(std::size_t iterations), int threads);

}  // namespace qarepvgg
