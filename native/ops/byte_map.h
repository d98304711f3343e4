// A map of floats (a FeatureMap seen as bytes), or of integers from 0 to 255 in elements as wide as the instruction set
// multiplies (kernels/integer_kernels.h). Halo and padding lanes of integers hold the zero point, which represents
// zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/feature_map.h"

namespace qarepvgg {

// A view; the arena owns the memory. 64 spare bytes follow it, which kernels may read.
struct ByteMap {
  std::byte* data = nullptr;  // first halo pixel of image 0
  MapShape shape;
  std::size_t element = sizeof(float);  // bytes

  ByteMap() = default;
  ByteMap(std::byte* memory, const MapShape& dims, std::size_t element_bytes)
      : data(memory), shape(dims), element(element_bytes) {}
  explicit ByteMap(const FeatureMap& map) : data(reinterpret_cast<std::byte*>(map.data)), shape(map.shape) {}

  // Only if elements are floats.
  FeatureMap floats() const { return {reinterpret_cast<float*>(data), shape}; }

  // Bytes from one pixel, row, image to the next.
  std::size_t pixel() const { return shape.pixel() * element; }
  std::size_t row() const { return shape.row() * element; }
  std::size_t image() const { return shape.image() * element; }
  // Coordinates are those of the image; -halo .. size + halo - 1 is legal.
  std::byte* at(std::size_t n, std::ptrdiff_t y, std::ptrdiff_t x) const {
    const std::ptrdiff_t halo = static_cast<std::ptrdiff_t>(shape.halo);
    return data + static_cast<std::ptrdiff_t>(n * image()) + (y + halo) * static_cast<std::ptrdiff_t>(row()) +
           (x + halo) * static_cast<std::ptrdiff_t>(pixel());
  }
};

// Fills `count` elements of `element` bytes; floats can only be filled with zero.
void fill_elements(std::byte* data, std::size_t count, std::size_t element, std::uint8_t value);
// Fills the padding lanes of rows [first, end), numbered through all images.
void clear_padding(const ByteMap& map, std::uint8_t value, std::size_t first, std::size_t end);

// Rows [first, end) of maps of integers, numbered through all images, from and to bytes [n][c][h][w]. `flipped`: bits
// that are inverted on the way. Padding lanes are left.
void import_rows(const std::uint8_t* nchw, std::uint8_t flipped, const ByteMap& map, std::size_t first,
                 std::size_t end);
void export_rows(const ByteMap& map, std::uint8_t* nchw, std::size_t first, std::size_t end);

}  // namespace qarepvgg
