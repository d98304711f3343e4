// Random programs: directed graphs of every op, in which several nodes, or one node twice, may read a value.
#pragma once

#include <vector>

#include "program/train/spec.h"
#include "reference/tensor.h"
#include "test/random.h"

namespace qarepvgg::test {

// The smallest dims with which convolutions run by Winograd's algorithm.
inline constexpr reference::Dims kWinogradDims{1, 32, 14, 14}, kOnes{1, 1, 1, 1};

struct RandomProgram {
  ProgramSpec spec;
  reference::Values state;      // NaN between its tensors
  std::vector<bool> trainable;  // for each float of the state, whether it belongs to a parameter
  reference::Dims input, output;

  reference::Tensor random_input(Rng& rng) const;
  reference::Tensor random_output_gradient(Rng& rng) const;
};

// Draws the input's dims between least and most.
RandomProgram random_program(Rng& rng, const reference::Dims& least, const reference::Dims& most);

// Draws an input that keeps the inputs of all ReLUs away from zero by a relative `margin`, so that rounding cannot
// change which gradients pass. Programs from random_program_off_kinks have such inputs; in others, a ReLU may read a
// value that depends on parameters alone.
reference::Tensor input_off_kinks(Rng& rng, const RandomProgram& program, double margin);
RandomProgram random_program_off_kinks(Rng& rng, const reference::Dims& least, const reference::Dims& most,
                                       double margin);

}  // namespace qarepvgg::test
