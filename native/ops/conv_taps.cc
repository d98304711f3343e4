#include "ops/conv_taps.h"

#include <algorithm>

namespace qarepvgg {

ConvTaps::ConvTaps(const MapShape& input, const MapShape& output, const Window& kernel, bool is_transposed)
    : in(input),
      out(output),
      window(kernel),
      transposed(is_transposed),
      product(kernel.is_pointwise() && input.h == 1 && input.w == 1),
      in_step(is_transposed ? Step{1, 1} : Step{kernel.y.stride, kernel.x.stride}),
      out_step(is_transposed ? Step{kernel.y.stride, kernel.x.stride} : Step{1, 1}) {
  for (std::size_t y = 0; y < out_step.y; ++y)
    for (std::size_t x = 0; x < out_step.x; ++x) add_class(y, x);
}

void ConvTaps::add_class(std::size_t y, std::size_t x) {
  const std::size_t width = product ? out.n : out.w;
  if (y >= out.h || x >= width) return;
  Class cls{y, x, ceil_div(out.h - y, out_step.y), ceil_div(width - x, out_step.x), taps.size(), 0};
  const Side &sy = window.y, &sx = window.x;
  for (std::size_t ky = 0; ky < sy.kernel; ++ky)
    for (std::size_t kx = 0; kx < sx.kernel; ++kx) {
      const std::ptrdiff_t down = signed_size(ky * sy.dilation), right = signed_size(kx * sx.dilation);
      if (!transposed) {
        taps.push_back({ky, kx, down - signed_size(sy.before), right - signed_size(sx.before)});
        continue;
      }
      // Output pixel o reads input pixel o * stride + k * dilation - padding. Solved for o, only the taps of this
      // residue class have a whole number.
      const std::ptrdiff_t dy = signed_size(y + sy.before) - down, dx = signed_size(x + sx.before) - right;
      if (dy % signed_size(sy.stride) == 0 && dx % signed_size(sx.stride) == 0)
        taps.push_back({ky, kx, dy / signed_size(sy.stride), dx / signed_size(sx.stride)});
    }
  cls.tap_count = taps.size() - cls.first_tap;
  classes.push_back(cls);
}

std::size_t ConvTaps::halo() const {
  if (product) return 0;
  std::ptrdiff_t halo = 0;
  const auto reach = [&halo](std::ptrdiff_t first, std::size_t count, std::size_t step, std::size_t length) {
    halo = std::max({halo, -first, first + signed_size((count - 1) * step) + 1 - signed_size(length)});
  };
  for (const Class& cls : classes)
    for (std::size_t t = cls.first_tap; t < cls.first_tap + cls.tap_count; ++t) {
      reach(taps[t].dy, cls.rows, in_step.y, in.h);
      reach(taps[t].dx, cls.columns, in_step.x, in.w);
    }
  return static_cast<std::size_t>(halo);
}

ConvTaps::Reach ConvTaps::reach(const Class& cls) const {
  Reach reach{0, 0};
  for (std::size_t t = 0; t < cls.tap_count; ++t) {
    const std::ptrdiff_t dy = taps[cls.first_tap + t].dy;
    reach = t == 0 ? Reach{dy, dy} : Reach{std::min(reach.first, dy), std::max(reach.last, dy)};
  }
  return reach;
}

void ConvTaps::offsets(const Class& cls, std::size_t row, std::size_t pixel, std::ptrdiff_t* to) const {
  for (std::size_t t = 0; t < cls.tap_count; ++t) {
    const Tap& tap = taps[cls.first_tap + t];
    to[t] = tap.dy * signed_size(row) + tap.dx * signed_size(pixel);
  }
}

}  // namespace qarepvgg
