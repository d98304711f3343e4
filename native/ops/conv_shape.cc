#include "ops/conv_shape.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kMaxPadding = 1 << 12;
constexpr std::size_t kMaxStride = 128;
constexpr std::size_t kMaxDilation = 1 << 12;

void check_range(const char* what, std::size_t value, std::size_t low, std::size_t high) {
  if (value < low || value > high)
    fail(code::kInvalidArg, "expected ", what, " from ", low, " to ", high, ", received ", value);
}

}  // namespace

void ConvShape::validate() const {
  check_range("kernel size", kernel, 1, kMaxKernel);
  check_range("stride", stride, 1, kMaxStride);
  check_range("padding", padding, 0, kMaxPadding);
  check_range("dilation", dilation, 1, kMaxDilation);
  if (groups == 0 || in_c % groups != 0 || out_c == 0 || out_c % groups != 0)
    fail(code::kInvalidArg, "expected groups to divide ", in_c, " input and ", out_c, " output channels, received ",
         groups);
  if (checked_add(in_h, 2 * padding) <= reach() || checked_add(in_w, 2 * padding) <= reach())
    fail(code::kShape, "expected an image of at least ", reach() + 1, " pixels a side with its padding, received ",
         in_h, " x ", in_w, " with padding ", padding);
  for (const MapShape& map : {input(), output()}) map.elements();
  checked_product({out_c, in_c / groups, kernel, kernel});
}

}  // namespace qarepvgg
