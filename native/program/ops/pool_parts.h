// Windows that pools slide over an image.
#pragma once

#include <vector>

#include "ops/conv_taps.h"
#include "program/op.h"

namespace qarepvgg {

// The taps of one side that are inside the image at one position; an average divides by `counted`.
struct Span {
  std::size_t first, count;  // taps
  std::ptrdiff_t start;      // pixel of the first of them
  std::size_t counted;
};

// A node's window on an image of a shape, and the shape of the output.
struct PoolWindow {
  Window window;
  MapShape out;
  std::vector<Span> rows, columns;  // by position
};
PoolWindow read_pool_window(const OpContext& context, const MapShape& in);

// The op for maps of integers.
std::unique_ptr<Op> make_integer_max_pool(const OpContext& context);

}  // namespace qarepvgg
