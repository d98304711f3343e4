#include "program/ops/pool_parts.h"

#include "program/ops/window.h"

namespace qarepvgg {
namespace {

Span span_of(const Side& side, std::size_t length, std::size_t position, bool count_pads) {
  const std::ptrdiff_t origin = signed_size(position * side.stride) - signed_size(side.before);
  const std::ptrdiff_t step = signed_size(side.dilation), end = signed_size(length);
  Span span{side.kernel, 0, 0, 0};
  for (std::size_t k = 0; k < side.kernel; ++k) {
    const std::ptrdiff_t at = origin + signed_size(k) * step;
    // Pads count, but not positions beyond them, which a rounded-up output size reaches.
    if (count_pads && at < end + signed_size(side.after)) ++span.counted;
    if (at < 0 || at >= end) continue;
    if (span.count++ == 0) {
      span.first = k;
      span.start = at;
    }
  }
  if (!count_pads) span.counted = span.count;
  return span;
}

std::vector<Span> spans_of(const Side& side, std::size_t length, std::size_t positions, bool count_pads) {
  std::vector<Span> spans;
  for (std::size_t i = 0; i < positions; ++i) spans.push_back(span_of(side, length, i, count_pads));
  return spans;
}

}  // namespace

PoolWindow read_pool_window(const OpContext& context, const MapShape& in) {
  const Attributes& attributes = context.attributes();
  const auto size = attributes.sizes("outputSize", 2);
  if (size[0] == 0 || size[1] == 0) fail(code::kInvalidArg, "expected an output size of at least 1");
  const bool count_pads = attributes.flag("countIncludePad");
  PoolWindow pool{read_window(attributes), {in.n, in.c, size[0], size[1]}, {}, {}};
  pool.out.elements();
  pool.rows = spans_of(pool.window.y, in.h, size[0], count_pads);
  pool.columns = spans_of(pool.window.x, in.w, size[1], count_pads);
  return pool;
}

}  // namespace qarepvgg
