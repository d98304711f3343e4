// The oracle's tensor: a batch of images in NCHW, row-major, in double. The code in native/reference is meant to be
// obviously right. It uses none of the code that it checks.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace qarepvgg::reference {

using Values = std::vector<double>;

struct Dims {
  std::size_t n = 0, c = 0, h = 0, w = 0;

  std::size_t elements() const { return n * c * h * w; }
};

struct Tensor {
  Dims dims;
  Values data;

  Tensor() = default;
  explicit Tensor(Dims size) : dims(size), data(size.elements()) {}
  Tensor(Dims size, Values values) : dims(size), data(std::move(values)) {}

  std::size_t index(std::size_t n, std::size_t c, std::size_t y, std::size_t x) const {
    return ((n * dims.c + c) * dims.h + y) * dims.w + x;
  }
  double& at(std::size_t n, std::size_t c, std::size_t y, std::size_t x) { return data[index(n, c, y, x)]; }
  double at(std::size_t n, std::size_t c, std::size_t y, std::size_t x) const { return data[index(n, c, y, x)]; }
  bool inside(std::ptrdiff_t y, std::ptrdiff_t x) const {
    return y >= 0 && x >= 0 && y < static_cast<std::ptrdiff_t>(dims.h) && x < static_cast<std::ptrdiff_t>(dims.w);
  }
  // The value of a pixel; zero around the image.
  double padded(std::size_t n, std::size_t c, std::ptrdiff_t y, std::ptrdiff_t x) const {
    return inside(y, x) ? at(n, c, static_cast<std::size_t>(y), static_cast<std::size_t>(x)) : 0.0;
  }
};

// Calls visit(n, c, y, x) for every element.
template <class Visit>
void for_each_element(const Dims& dims, const Visit& visit) {
  for (std::size_t n = 0; n < dims.n; ++n)
    for (std::size_t c = 0; c < dims.c; ++c)
      for (std::size_t y = 0; y < dims.h; ++y)
        for (std::size_t x = 0; x < dims.w; ++x) visit(n, c, y, x);
}

}  // namespace qarepvgg::reference
