// The machine's peak: what kernels are measured against.
#pragma once

#include "kernels/kernel_table.h"

namespace qarepvgg {

// FLOP/s of the register-only loop on `threads` threads together, over some tens of milliseconds.
double measure_peak(const KernelTable& kernels, int threads);

}  // namespace qarepvgg
