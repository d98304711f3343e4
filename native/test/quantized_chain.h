// Random chains of ops on integers, with ops on floats among them whose arithmetic is exact.
#pragma once

#include "test/random_chain.h"

namespace qarepvgg::test {

// The last op writes floats. Same bits on every instruction set, and from the reference. max_side: of the input at its
// nominal size.
RandomChain random_quantized_chain(Rng& rng, std::size_t max_side);

}  // namespace qarepvgg::test
