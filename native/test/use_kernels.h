// Makes one table of kernels the active one for as long as this lives: programs take the active kernels.
#pragma once

#include "kernels/dispatch.h"

namespace qarepvgg::test {

class UseKernels {
 public:
  explicit UseKernels(const KernelTable& kernels) { use_kernels_for_test(kernels); }
  ~UseKernels() { use_kernels_for_test(*available_kernels().back()); }
  UseKernels(const UseKernels&) = delete;
  UseKernels& operator=(const UseKernels&) = delete;
};

}  // namespace qarepvgg::test
