// A convolution as an explicit list of taps, each an offset into the padded input. The transposed convolution is one
// dense convolution for each residue class of the stride.
#pragma once

#include <cstddef>
#include <vector>

#include "base/checked.h"
#include "ops/feature_map.h"

namespace qarepvgg {

// A kernel along one side of an image. Padding before and after may differ.
struct Side {
  std::size_t kernel = 1, stride = 1, before = 0, after = 0, dilation = 1;

  std::size_t reach() const { return dilation * (kernel - 1); }
  // Positions of the kernel; `length` with its padding must hold one.
  std::size_t positions(std::size_t length) const { return (length + before + after - reach() - 1) / stride + 1; }
  bool operator==(const Side& other) const {
    return kernel == other.kernel && stride == other.stride && before == other.before && after == other.after &&
           dilation == other.dilation;
  }
};

struct Window {
  Side y, x;

  std::size_t taps() const { return y.kernel * x.kernel; }
  // Whether every output pixel reads just one input pixel.
  bool is_pointwise() const { return y == Side{} && x == Side{}; }
};

struct ConvTaps {
  static constexpr std::size_t kMaxTaps = 256;

  // A dense sub-convolution: output pixels first + out_step * i, each reading the same taps.
  struct Class {
    std::size_t first_y, first_x;  // output
    std::size_t rows, columns;
    std::size_t first_tap, tap_count;
  };
  struct Tap {
    std::size_t ky, kx;     // in the weight
    std::ptrdiff_t dy, dx;  // in the input, in pixels, relative to the class's first pixel
  };
  struct Step {
    std::size_t y, x;
  };

  // The halos of `in` and `out` do not count. Images of one pixel under one tap are a matrix product: the images then
  // count as the pixels of one row.
  ConvTaps(const MapShape& in, const MapShape& out, const Window& window, bool transposed);

  // Halo that the input needs.
  std::size_t halo() const;
  // The first and last input row that an output row of a class reads, relative to the row of tap offset 0.
  struct Reach {
    std::ptrdiff_t first, last;
  };
  Reach reach(const Class& cls) const;
  // From one pixel of a row to the next, in maps of the input and the output.
  template <class Map>
  std::size_t in_pixel(const Map& map) const {
    return product ? map.image() : in_step.x * map.pixel();
  }
  template <class Map>
  std::size_t out_pixel(const Map& map) const {
    return product ? map.image() : out_step.x * map.pixel();
  }
  // Offsets of the taps of a class, at most kMaxTaps, in an input with these distances between rows and between pixels.
  void offsets(const Class& cls, std::size_t row, std::size_t pixel, std::ptrdiff_t* out) const;

  MapShape in, out;
  Window window;
  bool transposed, product;
  Step in_step, out_step;
  std::vector<Tap> taps;
  std::vector<Class> classes;

 private:
  void add_class(std::size_t y, std::size_t x);
};

}  // namespace qarepvgg
