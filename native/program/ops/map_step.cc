#include "program/ops/map_step.h"

#include <algorithm>

#include "program/ops/unary.h"

namespace qarepvgg {

void clear_padding(const FeatureMap& map, std::size_t first, std::size_t end) {
  const MapShape& shape = map.shape;
  const std::size_t pixel = shape.pixel();
  if (pixel == shape.c) return;
  for (std::size_t line = first; line < end; ++line) {
    float* row = map.at(line / shape.h, signed_size(line % shape.h), 0);
    for (std::size_t x = 0; x < shape.w; ++x) std::fill_n(row + x * pixel + shape.c, pixel - shape.c, 0.0f);
  }
}

void apply_to_rows(const UnaryFunction& function, const FeatureMap& map, std::size_t first, std::size_t end) {
  const MapShape& shape = map.shape;
  for (std::size_t line = first; line < end; ++line) {
    float* row = map.at(line / shape.h, signed_size(line % shape.h), 0);
    apply(function, row, shape.w * shape.pixel(), row);
  }
  if (!function.keeps_zero()) clear_padding(map, first, end);
}

}  // namespace qarepvgg
