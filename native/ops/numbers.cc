#include "ops/numbers.h"

#include <algorithm>

#include "ops/denormals.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kSide = kWinogradSide;

// Winograd's weight transform times 24, the last point only times 12, so that results are at most 12 times the largest
// weight: of both sides together, 16 bits.
void transform_side(int g0, int g1, int g2, int (&u)[kSide]) {
  u[0] = 6 * g0;
  u[1] = -4 * (g0 + g1 + g2);
  u[2] = -4 * (g0 - g1 + g2);
  u[3] = g0 + 2 * g1 + 4 * g2;
  u[4] = g0 - 2 * g1 + 4 * g2;
  u[5] = 12 * g2;
}

constexpr std::size_t kFewProducts = 32 * 64, kFewPixels = 12 * 12;

template <class T>
void pack_integers(const std::int8_t* weight, Strided lanes, Strided elements, std::size_t width, T* out) {
  constexpr std::size_t kElements = kStepBytes / sizeof(T);
  std::fill_n(out, width * kElements, T{0});
  for (std::size_t lane = 0; lane < lanes.count; ++lane)
    for (std::size_t e = 0; e < elements.count; ++e)
      out[lane * kElements + e] = weight[lane * lanes.distance + e * elements.distance];
}

}  // namespace

bool IntegerNumbers::winograd_pays(const ConvShape& shape, const IntegerKernels& kernels) {
  if (kernels.element_bytes > 1) return true;
  const std::size_t in = shape.in_c / shape.groups, out = shape.out_c / shape.groups;
  return in * out >= kFewProducts && shape.n * shape.out_h() * shape.out_w() >= kFewPixels;
}

void FloatNumbers::pack_step(const KernelTable&, const float* weight, Strided lanes, Strided, std::size_t width,
                             float* out) {
  for (std::size_t lane = 0; lane < lanes.count; ++lane) out[lane] = without_denormal(weight[lane * lanes.distance]);
  std::fill(out + lanes.count, out + width, 0.0f);
}

void IntegerNumbers::pack_step(const IntegerKernels& kernels, const std::int8_t* weight, Strided lanes,
                               Strided elements, std::size_t width, std::byte* out) {
  if (kernels.element_bytes == 1)
    pack_integers(weight, lanes, elements, width, reinterpret_cast<std::int8_t*>(out));
  else
    pack_integers(weight, lanes, elements, width, reinterpret_cast<std::int16_t*>(out));
}

void IntegerNumbers::transform(const IntegerKernels&, const WinogradWeights& call) {
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(call.lanes); ++lane) {
    const std::int8_t* kernel = call.weight + lane * call.step;
    const auto g = [&](std::size_t tap) { return kernel[call.turned ? 8 - tap : tap]; };
    std::int16_t* out = call.out + lane * kStepWords;
    int half[3][kSide], u[kSide];
    for (std::size_t x = 0; x < 3; ++x) transform_side(g(x), g(3 + x), g(6 + x), half[x]);
    for (std::size_t p = 0; p < kSide; ++p) {
      transform_side(half[0][p], half[1][p], half[2][p], u);
      for (std::size_t q = 0; q < kSide; ++q) out[(p * kSide + q) * call.point] = static_cast<std::int16_t>(u[q]);
    }
  }
}

}  // namespace qarepvgg
