// From the pixels of a photograph to what a network takes: scaled, cut or padded, and turned into numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

enum class ResizeFilter { kNearest, kBilinear, kBicubic };

struct PixelSize {
  std::size_t height, width;
};

// The image is scaled to `scaled`; of a canvas of `canvas` pixels its upper left corner covers the pixel (top, left),
// which may lie outside. Pixels of the canvas that it does not cover are `fill`.
struct ImageTransform {
  PixelSize from, scaled, canvas;
  std::size_t channels;
  ResizeFilter filter;
  std::ptrdiff_t top, left;
  std::uint8_t fill;
};

// Scales as Pillow's resize(), to the byte: bilinear and bicubic weigh all the pixels that an output pixel covers
// (antialiasing), in rows first and columns second, rounded to bytes after each. Images are [height][width][channels].
// Throws std::bad_alloc.
void transform_image(int threads, const ImageTransform& transform, const std::uint8_t* image, std::uint8_t* canvas);

// The number for each byte, [channels][256], where each pixel belongs: [channels][pixels], or else [pixels][channels].
void bytes_to_planes(int threads, const std::uint8_t* bytes, std::size_t pixels, std::size_t channels,
                     const float* table, float* planes);
void bytes_to_numbers(int threads, const std::uint8_t* bytes, std::size_t pixels, std::size_t channels,
                      const float* table, float* numbers);

}  // namespace qarepvgg
