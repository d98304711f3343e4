// Windows that pools walk over an image.
#pragma once

#include <vector>

#include "ops/conv_taps.h"
#include "program/op.h"

namespace qarepvgg {

// The taps of one side that lie in the image, at one position; `counted` of them count for an average.
struct Span {
  std::size_t first, count;  // taps
  std::ptrdiff_t start;      // pixel of the first of them
  std::size_t counted;
};

// A node's window on an image of that shape, and what it makes of it.
struct PoolWindow {
  Window window;
  MapShape out;
  std::vector<Span> rows, columns;  // by position
};
PoolWindow read_pool_window(const OpContext& context, const MapShape& in);

// Those of integers.
std::unique_ptr<Op> make_integer_max_pool(const OpContext& context);

}  // namespace qarepvgg
