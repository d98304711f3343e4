// Turns the pixels of a photograph into the input of a network: scales, crops or pads, and converts bytes to numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

enum class ResizeFilter { kNearest, kBilinear, kBicubic };

struct PixelSize {
  std::size_t height, width;
};

// The image is scaled to `scaled` and placed on a canvas with its upper left corner at (top, left), which may lie
// outside. Pixels of the canvas that it does not cover are `fill`.
struct ImageTransform {
  PixelSize from, scaled, canvas;
  std::size_t channels;
  ResizeFilter filter;
  std::ptrdiff_t top, left;
  std::uint8_t fill;
};

// Scales to the same bytes as Pillow's resize(): bilinear and bicubic weigh all pixels that an output pixel covers
// (antialiasing), first along rows, then along columns, and round to bytes after each. Images are
// [height][width][channels]. Throws std::bad_alloc.
void transform_image(int threads, const ImageTransform& transform, const std::uint8_t* image, std::uint8_t* canvas);

// Look up each byte in `table`, [channels][256], and write [channels][pixels] (planes) or [pixels][channels] (numbers).
void bytes_to_planes(int threads, const std::uint8_t* bytes, std::size_t pixels, std::size_t channels,
                     const float* table, float* planes);
void bytes_to_numbers(int threads, const std::uint8_t* bytes, std::size_t pixels, std::size_t channels,
                      const float* table, float* numbers);

}  // namespace qarepvgg
