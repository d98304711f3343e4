// Tables of kernels for tests: which there are, and making one the active one, since programs take the active kernels.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/dispatch.h"

namespace qarepvgg::test {

// The available tables without those whose kernels for floats are another's.
inline std::vector<const KernelTable*> float_kernels() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : available_kernels())
    if (std::none_of(tables.begin(), tables.end(), [&](auto* other) { return other->conv[0][0] == table->conv[0][0]; }))
      tables.push_back(table);
  return tables;
}

// For as long as this lives.
class UseKernels {
 public:
  explicit UseKernels(const KernelTable& kernels) { use_kernels_for_test(kernels); }
  ~UseKernels() { use_kernels_for_test(*available_kernels().back()); }
  UseKernels(const UseKernels&) = delete;
  UseKernels& operator=(const UseKernels&) = delete;
};

}  // namespace qarepvgg::test
