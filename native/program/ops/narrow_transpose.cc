#include "program/ops/narrow_transpose.h"

#include "program/ops/unary.h"

namespace qarepvgg {

bool is_narrow(const ConvDims& dims) {
  const auto covers = [](const Side& side) {
    return side.kernel == side.stride && side.before == 0 && side.after == 0 && side.dilation == 1;
  };
  const Window& w = dims.window;
  return covers(w.y) && covers(w.x) && dims.groups == 1 && dims.out_c <= 4 && dims.out_c * w.taps() <= kAlignedFloats &&
         dims.out.h == dims.in.h * w.y.kernel && dims.out.w == dims.in.w * w.x.kernel;
}

NarrowStep::NarrowStep(const ConvDims& dims, std::size_t members, const MapShape& in, const Activation& activation)
    : Step({in.n * in.h, members, map_size(in)}),
      window_(dims.window),
      in_(in),
      out_(dims.out),
      activation_(activation) {}

void NarrowStep::run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const {
  const FeatureMap blocks{reinterpret_cast<float*>(scratch), row_of_blocks()};
  for (std::size_t line = items.first; line < items.first + items.length; ++line) {
    const std::size_t image = line / in_.h, y = line % in_.h;
    multiply(at, image, y, blocks);
    for (std::size_t c = 0; c < out_.c; ++c)
      for (std::size_t ky = 0; ky < window_.y.kernel; ++ky) {
        float* to = at.output() + ((image * out_.c + c) * out_.h + y * window_.y.kernel + ky) * out_.w;
        scatter(blocks, (c * window_.y.kernel + ky) * window_.x.kernel, to);
        if (activation_.then() != nullptr) apply(*activation_.then(), to, out_.w, to);
      }
  }
}

// Copies one line of every block, so that they form a line of the output.
void NarrowStep::scatter(const FeatureMap& blocks, std::size_t first, float* to) const {
  const std::size_t pixel = blocks.shape.pixel(), kernel = window_.x.kernel;
  for (std::size_t kx = 0; kx < kernel; ++kx) {
    const float* from = blocks.data + first + kx;
    for (std::size_t x = 0; x < in_.w; ++x) to[x * kernel + kx] = from[x * pixel];
  }
}

}  // namespace qarepvgg
