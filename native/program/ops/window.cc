#include "program/ops/window.h"

#include <algorithm>

namespace qarepvgg {

Window read_window(const Attributes& attributes) {
  constexpr std::size_t kMaxSide = 1 << 16;
  const auto kernel = attributes.sizes("kernel", 2), strides = attributes.sizes("strides", 2),
             pads = attributes.sizes("pads", 4), dilations = attributes.sizes("dilations", 2);
  const auto side = [&](std::size_t i) { return Side{kernel[i], strides[i], pads[i], pads[i + 2], dilations[i]}; };
  const Window window{side(0), side(1)};
  for (const Side& s : {window.y, window.x})
    if (s.kernel == 0 || s.stride == 0 || s.dilation == 0 ||
        std::max({s.stride, s.before, s.after, s.dilation}) > kMaxSide)
      fail(code::kInvalidArg, "expected a kernel, strides and dilations of at least 1, none of them nor pads above ",
           kMaxSide);
  return window;
}

}  // namespace qarepvgg
