#include "ops/byte_map.h"

#include <algorithm>
#include <cstring>

namespace qarepvgg {

void fill_elements(std::byte* data, std::size_t count, std::size_t element, std::uint8_t value) {
  if (element != sizeof(std::uint16_t)) {
    std::memset(data, value, count * element);
  } else {
    std::fill_n(reinterpret_cast<std::uint16_t*>(data), count, std::uint16_t{value});
  }
}

void clear_padding(const ByteMap& map, std::uint8_t value, std::size_t first, std::size_t end) {
  const MapShape& shape = map.shape;
  const std::size_t lanes = shape.pixel() - shape.c;
  if (lanes == 0) return;
  for (std::size_t line = first; line < end; ++line) {
    std::byte* pixel = map.at(line / shape.h, signed_size(line % shape.h), 0) + shape.c * map.element;
    for (std::size_t x = 0; x < shape.w; ++x, pixel += map.pixel()) fill_elements(pixel, lanes, map.element, value);
  }
}

}  // namespace qarepvgg
