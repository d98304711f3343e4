// Chooses the kernels once per process.
#pragma once

#include <vector>

#include "kernels/kernel_table.h"

namespace qarepvgg {

// Instruction sets that this build and this CPU (and its operating system) both have, slowest first.
const std::vector<const KernelTable*>& available_kernels();

// The fastest available table, or the one that QAREPVGG_ISA names. Throws ERR_ISA if that is unknown or not supported.
const KernelTable& active_kernels();

// Makes active_kernels() return another table. For tests and benchmarks, while nothing is computing.
void use_kernels_for_test(const KernelTable& table);

}  // namespace qarepvgg
