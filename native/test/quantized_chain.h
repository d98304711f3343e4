// Random chains of ops on integers, with some ops on floats whose arithmetic is exact.
#pragma once

#include "test/random_chain.h"

namespace qarepvgg::test {

// The last op writes floats. Every instruction set and the reference compute the same bits. max_side: of the input at
// its nominal size.
RandomChain random_quantized_chain(Rng& rng, std::size_t max_side);

}  // namespace qarepvgg::test
