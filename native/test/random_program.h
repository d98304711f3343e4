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

// Upper limits of the input's dims.
RandomProgram random_program(Rng& rng, const reference::Dims& limits);

// An input that keeps the program's ReLUs away from their kinks, so that rounding cannot change a gradient's mask.
reference::Tensor input_off_kinks(Rng& rng, const RandomProgram& program, const reference::Values& state,
                                  double margin);

}  // namespace qarepvgg::test
