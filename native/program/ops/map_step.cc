#include "program/ops/map_step.h"

#include "program/ops/unary.h"

namespace qarepvgg {

void apply_to_rows(const UnaryFunction& function, const FeatureMap& map, std::size_t first, std::size_t end) {
  const MapShape& shape = map.shape;
  for (std::size_t line = first; line < end; ++line) {
    float* row = map.at(line / shape.h, signed_size(line % shape.h), 0);
    apply(function, row, shape.w * shape.pixel(), row);
  }
  if (!function.keeps_zero()) clear_padding(map, first, end);
}

}  // namespace qarepvgg
