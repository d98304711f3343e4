// How a stem reads an image: a row of pixels becomes lines, in which a pixel is one step of 32 bits. A line has one
// channel of floats, or as many channels of integers as fit into a step.
#pragma once

#include <cstddef>

#include "ops/input_image.h"
#include "ops/numbers.h"

namespace qarepvgg {

class FloatLines {
 public:
  using Numbers = FloatNumbers;

  FloatLines(const MapShape& images, const KernelTable& kernels) : images_(images), kernels_(&kernels) {}
  const MapShape& images() const { return images_; }
  const KernelTable& kernels() const { return *kernels_; }
  std::size_t planes() const { return images_.c; }  // lines of a row

  // Memory for tables that depend on the image, and making them.
  std::size_t table_bytes() const { return 0; }
  void make_tables(const Image&, std::byte*) const {}
  // Fills a line with zero.
  void clear(float* line, std::size_t steps) const;
  // Copies row y of image n to a line.
  void copy(const Image& image, const std::byte* tables, std::size_t n, std::size_t plane, std::size_t y,
            float* line) const;

 private:
  MapShape images_;
  const KernelTable* kernels_;
};

// The same for integers, to which it quantises the pixels.
class IntegerLines {
 public:
  using Numbers = IntegerNumbers;

  IntegerLines(const MapShape& images, const Quantization& quantization, const IntegerKernels& kernels)
      : images_(images), quantization_(quantization), kernels_(&kernels), elements_(Numbers::step_elements(kernels)) {}
  const MapShape& images() const { return images_; }
  const IntegerKernels& kernels() const { return *kernels_; }
  std::size_t planes() const { return ceil_div(images_.c, elements_); }

  // For each channel, the step that a byte becomes; then the values of the bytes of one channel.
  std::size_t table_bytes() const;
  void make_tables(const Image& image, std::byte* memory) const;
  void clear(std::byte* line, std::size_t steps) const;
  void copy(const Image& image, const std::byte* tables, std::size_t n, std::size_t plane, std::size_t y,
            std::byte* line) const;

 private:
  // Quantises the channels of a plane into steps. plane_of(channel): its values.
  template <class PlaneOf>
  void quantize(std::size_t plane, std::size_t pixels, const PlaneOf& plane_of, std::byte* out) const;

  MapShape images_;
  Quantization quantization_;
  const IntegerKernels* kernels_;
  std::size_t elements_;  // of a step
};

}  // namespace qarepvgg
