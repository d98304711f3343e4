// NEON, part of every 64-bit ARM CPU: 32 registers of 4 floats. Tiles: 14 x 8 uses 28 accumulators, 9 x 12 uses 27.
#include <arm_neon.h>

#include "kernels/attributes.h"
#include "kernels/kernel_table.h"

namespace qarepvgg {
namespace {

struct Vec {
  using Reg = float32x4_t;
  static constexpr int kLanes = 4;

  static void prefetch(const float* p) { __builtin_prefetch(p, 0, 2); }
  static void prefetch_near(const float* p) { __builtin_prefetch(p, 0, 3); }
  static Reg load(const float* p) { return vld1q_f32(p); }
  static Reg load_first(const float* p, std::size_t n) {
    if (n >= 4) return load(p);
    float32x2_t low = vdup_n_f32(0), high = low;
    if (n == 1) low = vld1_lane_f32(p, low, 0);
    if (n >= 2) low = vld1_f32(p);
    if (n == 3) high = vld1_lane_f32(p + 2, high, 0);
    return vcombine_f32(low, high);
  }
  static Reg load_first_or(const float* p, std::size_t n, float x) {
    const Reg all = load_first(p, n), kept = keep_first(set(1), n);
    return vbslq_f32(vceqzq_f32(kept), set(x), all);
  }
  static void store(float* p, Reg r) { vst1q_f32(p, r); }
  static void store_first(float* p, Reg r, std::size_t n) {
    if (n >= 4) return store(p, r);
    if (n == 1) vst1q_lane_f32(p, r, 0);
    if (n >= 2) vst1_f32(p, vget_low_f32(r));
    if (n == 3) vst1q_lane_f32(p + 2, r, 2);
  }
  static Reg keep_first(Reg r, std::size_t n) {
    static constexpr std::uint32_t kIndex[]{0, 1, 2, 3};
    const uint32x4_t kept = vcltq_u32(vld1q_u32(kIndex), vdupq_n_u32(static_cast<std::uint32_t>(n)));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(r), kept));
  }
  static Reg broadcast(const float* p) { return vld1q_dup_f32(p); }
  static Reg set(float x) { return vdupq_n_f32(x); }
  static Reg zero() { return set(0); }
  static Reg zip_low(Reg a, Reg b) { return vzip1q_f32(a, b); }
  static Reg zip_high(Reg a, Reg b) { return vzip2q_f32(a, b); }
  static Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static Reg sub(Reg a, Reg b) { return vsubq_f32(a, b); }
  static Reg mul(Reg a, Reg b) { return vmulq_f32(a, b); }
  static Reg div(Reg a, Reg b) { return vdivq_f32(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
  static Reg times_power(Reg r, Reg shifted) {
    const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(r), exponent));
  }
  static Reg clear(Reg x, uint32x4_t where) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), where));
  }
  // Comparisons with NaN are false.
  static Reg least(Reg a, Reg x) { return vminq_f32(a, x); }
  static Reg most(Reg a, Reg x) { return vbslq_f32(vcltq_f32(x, a), a, x); }
  static Reg relu_gradient(Reg y, Reg x) { return clear(x, vclezq_f32(y)); }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;
constexpr int kRegisters = 32;

#include "kernels/float/body.inc"

}  // namespace

const KernelTable kNeonKernels = make_table("neon", kNeonIntegerKernels, kScalarTensorKernels, kScalarImageKernels);
const KernelTable kNeonDotKernels =
    make_table("neondot", kNeonDotIntegerKernels, kScalarTensorKernels, kScalarImageKernels);
const KernelTable kNeonI8mmKernels =
    make_table("neoni8mm", kNeonI8mmIntegerKernels, kScalarTensorKernels, kScalarImageKernels);

}  // namespace qarepvgg
