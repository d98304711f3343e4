// Random re-parameterised networks: chains of convolutions, squeeze-and-excitation and global averages.
#pragma once

#include <string>
#include <vector>

#include "ops/conv_shape.h"
#include "program/train/spec.h"
#include "reference/tensor.h"
#include "test/chain_program.h"
#include "test/guarded_memory.h"
#include "test/random.h"

namespace qarepvgg::test {

// max_side: of the input at its nominal size.
Chain random_chain(Rng& rng, std::size_t max_side);

reference::Values random_image(Rng& rng, const Chain& chain, ImageSize size);
std::string describe(const Chain& chain);

// The chain as a program, whose tensors are appended to `state`.
ProgramSpec program_of(const Chain& chain, ImageSize size, std::vector<float>& state);

// Runs the first `count` images through an inference program. Every array ends or begins at a guard page.
std::vector<reference::Values> infer(Rng& rng, InferenceProgram& program, ImageSize size,
                                     const std::vector<reference::Values>& images, std::size_t count);

// The shape of a convolution, from any number of channels. Mostly one for which algorithms are chosen: whole cache
// lines of channels, 3x3, and 1x1 on single pixels.
ConvShape random_link(Rng& rng, const MapShape& in);
// A chain without nodes, for any number of images together.
Chain random_start(Rng& rng, std::size_t max_side);

}  // namespace qarepvgg::test
