#include "ops/byte_map.h"

#include <algorithm>
#include <cstring>

namespace qarepvgg {

void fill_elements(std::byte* data, std::size_t count, std::size_t element, std::uint8_t value) {
  if (element == 1) {
    std::memset(data, value, count);
  } else {
    std::fill_n(reinterpret_cast<std::uint16_t*>(data), count, std::uint16_t{value});
  }
}

}  // namespace qarepvgg
