// Random programs: directed graphs of every op, with values that are read by several ops or twice by the same one.
#pragma once

#include <vector>

#include "program/spec.h"
#include "reference/tensor.h"
#include "test/random.h"

namespace qarepvgg::test {

// The least dims from which convolutions run by Winograd's algorithm.
inline constexpr reference::Dims kWinogradDims{1, 32, 14, 14}, kOnes{1, 1, 1, 1};

struct RandomProgram {
  ProgramSpec spec;
  reference::Values state;      // NaN between its tensors
  std::vector<bool> trainable;  // per float of the state: a parameter
  reference::Dims input, output;

  reference::Tensor random_input(Rng& rng) const;
  reference::Tensor random_output_gradient(Rng& rng) const;
};

// The input's dims are drawn from least to most.
RandomProgram random_program(Rng& rng, const reference::Dims& least, const reference::Dims& most);

// An input that keeps the program's ReLUs away from their kinks by a relative `margin`, so that rounding cannot change
// which gradients pass. Programs from random_program_off_kinks have such inputs; in others a ReLU may read what depends
// on parameters alone.
reference::Tensor input_off_kinks(Rng& rng, const RandomProgram& program, double margin);
RandomProgram random_program_off_kinks(Rng& rng, const reference::Dims& least, const reference::Dims& most,
                                       double margin);

}  // namespace qarepvgg::test
