// Portable kernels that use no instruction set beyond the baseline. Tests compare the other tables with them.
#include <cstdint>

#include "kernels/attributes.h"
#include "kernels/kernel_table.h"

namespace qarepvgg {
namespace {

// Four floats, so that the compiler can use its baseline vectors (SSE2, NEON).
struct Vec {
  struct Reg {
    float v[4];
  };
  static constexpr int kLanes = 4;

  template <class F>
  static Reg map(const F& f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  static void prefetch(const float*) {}
  static void prefetch_near(const float*) {}
  static Reg load(const float* p) {
    return map([&](int i) { return p[i]; });
  }
  static Reg load_first(const float* p, std::size_t n) {
    return map([&](int i) { return static_cast<std::size_t>(i) < n ? p[i] : 0.0f; });
  }
  static Reg load_first_or(const float* p, std::size_t n, float x) {
    return map([&](int i) { return static_cast<std::size_t>(i) < n ? p[i] : x; });
  }
  static void store(float* p, Reg r) { store_first(p, r, kLanes); }
  static void store_first(float* p, Reg r, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) p[i] = r.v[i];
  }
  static Reg keep_first(Reg r, std::size_t n) { return load_first(r.v, n); }
  static Reg broadcast(const float* p) { return set(*p); }
  static Reg set(float x) { return {{x, x, x, x}}; }
  static Reg zero() { return set(0.0f); }
  static Reg zip_low(Reg a, Reg b) { return {{a.v[0], b.v[0], a.v[1], b.v[1]}}; }
  static Reg zip_high(Reg a, Reg b) { return {{a.v[2], b.v[2], a.v[3], b.v[3]}}; }
  static Reg add(Reg a, Reg b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  static Reg sub(Reg a, Reg b) {
    return map([&](int i) { return a.v[i] - b.v[i]; });
  }
  static Reg mul(Reg a, Reg b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  static Reg div(Reg a, Reg b) {
    return map([&](int i) { return a.v[i] / b.v[i]; });
  }
  static Reg fma(Reg a, Reg b, Reg c) {
    return map([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  static std::uint32_t bits(float x) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
  }
  static Reg times_power(Reg r, Reg shifted) {
    return map([&](int i) {
      const std::uint32_t product = bits(r.v[i]) + (bits(shifted.v[i]) << 23);
      float x;
      __builtin_memcpy(&x, &product, sizeof x);
      return x;
    });
  }
  static Reg least(Reg a, Reg x) {
    return map([&](int i) { return a.v[i] < x.v[i] ? a.v[i] : x.v[i]; });
  }
  static Reg most(Reg a, Reg x) {
    return map([&](int i) { return x.v[i] < a.v[i] ? a.v[i] : x.v[i]; });
  }
  static Reg relu_gradient(Reg y, Reg x) {
    return map([&](int i) { return y.v[i] <= 0.0f ? 0.0f : x.v[i]; });
  }
};

constexpr int kMaxRows1 = 6, kMaxRows2 = 4, kMaxRows3 = 3;
constexpr int kRegisters = 16;

#include "kernels/float/body.inc"

}  // namespace

const KernelTable kScalarKernels =
    make_table("scalar", kScalarIntegerKernels, kScalarTensorKernels, kScalarImageKernels);

}  // namespace qarepvgg
