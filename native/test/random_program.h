// Random programs: directed graphs of every op, with values that are read by several ops or twice by the same one.
#pragma once

#include <vector>

#include "program/spec.h"
#include "reference/tensor.h"
#include "test/random.h"

namespace qarepvgg::test {

struct RandomProgram {
  ProgramSpec spec;
  reference::Values state;        // NaN between its tensors
  std::vector<bool> trainable;    // per float of the state: a parameter
  reference::Dims input, output;

  reference::Tensor random_input(Rng& rng) const;
  reference::Tensor random_output_gradient(Rng& rng) const;
};

// limits: of the input's dims.
RandomProgram random_program(Rng& rng, const reference::Dims& limits);

// An input that keeps the program's ReLUs away from their kinks by a relative `margin`, so that rounding cannot change
// which gradients pass. Programs from random_program_off_kinks have such inputs; in others a ReLU may read what depends
// on parameters alone.
reference::Tensor input_off_kinks(Rng& rng, const RandomProgram& program, double margin);
RandomProgram random_program_off_kinks(Rng& rng, const reference::Dims& limits, double margin);

}  // namespace qarepvgg::test
