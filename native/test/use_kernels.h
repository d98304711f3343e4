// Tables of kernels for tests: lists them, and makes one active, because programs use the active kernels.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/dispatch.h"

namespace qarepvgg::test {

// The available tables with different kernels for floats.
inline std::vector<const KernelTable*> float_kernels() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : available_kernels())
    if (std::none_of(tables.begin(), tables.end(), [&](auto* other) { return other->conv[0][0] == table->conv[0][0]; }))
      tables.push_back(table);
  return tables;
}

// Makes a table active while this object exists.
class UseKernels {
 public:
  explicit UseKernels(const KernelTable& kernels) { use_kernels_for_test(kernels); }
  ~UseKernels() { use_kernels_for_test(*available_kernels().back()); }
  UseKernels(const UseKernels&) = delete;
  UseKernels& operator=(const UseKernels&) = delete;
};

}  // namespace qarepvgg::test
