// Random re-parameterised networks: chains of convolutions, squeeze-and-excitation and global averages.
#pragma once

#include <vector>

#include "ops/feature_map.h"
#include "program/train/spec.h"
#include "reference/tensor.h"
#include "test/chain_program.h"
#include "test/guarded_memory.h"
#include "test/random.h"

namespace qarepvgg::test {

struct RandomChain {
  ProgramSpec spec;
  std::vector<float> state;  // NaN between its tensors

  reference::Values random_image(Rng& rng, ImageSize size) const;
};

// max_side: of the input at its nominal size.
RandomChain random_chain(Rng& rng, std::size_t max_side);

std::string describe(const RandomChain& chain);

// Runs the first `count` images through an inference program. Every array ends or begins at a guard page.
std::vector<reference::Values> infer(Rng& rng, InferenceProgram& program, ImageSize size,
                                     const std::vector<reference::Values>& images, std::size_t count);

}  // namespace qarepvgg::test
