// From the type of a tensor to the C++ type of its elements.
#pragma once

#include <cstdint>

#include "program/graph.h"

namespace qarepvgg {

// Calls body with a number of the type; a bool is a byte, 0 or 1.
template <class Body>
auto with_type(Dtype type, const Body& body) {
  switch (type) {
    case Dtype::kFloat32:
      return body(float{});
    case Dtype::kInt8:
      return body(std::int8_t{});
    case Dtype::kInt32:
      return body(std::int32_t{});
    case Dtype::kInt64:
      return body(std::int64_t{});
    default:
      return body(std::uint8_t{});
  }
}

}  // namespace qarepvgg
