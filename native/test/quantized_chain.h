// Random chains of ops on integers, with some ops on floats whose arithmetic is exact.
#pragma once

#include "test/random_chain.h"

namespace qarepvgg::test {

// The last op writes floats. Every instruction set and the reference compute the same bits. max_side: of the input at
// its nominal size.
Chain random_quantized_chain(Rng& rng, std::size_t max_side);
// Runs one image through such a chain with the reference.
reference::Tensor run_reference(const Chain& chain, const reference::Tensor& image);

}  // namespace qarepvgg::test
