#include "ops/byte_map.h"

#include <algorithm>
#include <cstring>

namespace qarepvgg {
namespace {

// Calls visit(element of the map, byte of the tensor) for each number of some rows.
template <class T, class Byte, class Visit>
void for_each_byte(const ByteMap& map, Byte* nchw, std::size_t first, std::size_t end, const Visit& visit) {
  const MapShape& s = map.shape;
  const std::size_t pixel = s.pixel();
  for (std::size_t line = first; line < end; ++line) {
    const std::size_t image = line / s.h, y = line % s.h;
    T* row = reinterpret_cast<T*>(map.at(image, signed_size(y), 0));
    if (s.h * s.w == 1) {  // consecutive on both sides
      for (std::size_t c = 0; c < s.c; ++c) visit(row[c], nchw[image * s.c + c]);
      continue;
    }
    for (std::size_t c = 0; c < s.c; ++c) {
      Byte* bytes = nchw + ((image * s.c + c) * s.h + y) * s.w;
      for (std::size_t x = 0; x < s.w; ++x) visit(row[x * pixel + c], bytes[x]);
    }
  }
}

}  // namespace

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

void import_rows(const std::uint8_t* nchw, std::uint8_t flipped, const ByteMap& map, std::size_t first,
                 std::size_t end) {
  const auto take = [flipped](auto& element, std::uint8_t byte) { element = byte ^ flipped; };
  if (map.element == sizeof(std::uint16_t))
    for_each_byte<std::uint16_t>(map, nchw, first, end, take);
  else
    for_each_byte<std::uint8_t>(map, nchw, first, end, take);
}

void export_rows(const ByteMap& map, std::uint8_t* nchw, std::size_t first, std::size_t end) {
  const auto give = [](auto element, std::uint8_t& byte) { byte = static_cast<std::uint8_t>(element); };
  if (map.element == sizeof(std::uint16_t))
    for_each_byte<std::uint16_t>(map, nchw, first, end, give);
  else
    for_each_byte<std::uint8_t>(map, nchw, first, end, give);
}

}  // namespace qarepvgg
