// Integers with NEON. It does not multiply unsigned bytes by signed ones, so elements are 16-bit words, as with AVX2.
#include <arm_neon.h>
#include <cstring>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec128.inc"

struct Vec : Vec128 {
  static constexpr std::size_t kElementBytes = 2;
  static constexpr bool kInterleaves = false;
  using LookUp = LookUpEach<kElementBytes>;

  static void dot(Reg& acc, Reg a, Reg b) { dot_words(acc, a, b); }
  static Reg widen(const std::byte* p) {
    return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(p))));
  }
  static void narrow(std::byte* p, Reg r) { vst1_s16(reinterpret_cast<std::int16_t*>(p), vmovn_s32(r)); }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) {
    std::byte all[kLanes * kElementBytes];
    narrow(all, r);
    for (std::size_t i = 0; i < n * kElementBytes; ++i) p[i] = all[i];
  }
  static Reg set_elements(std::int32_t x) { return set_words(x); }
  static Reg pack(const Reg* r, Reg zero_point, Reg low) {
    const int16x8_t words = vmaxq_s16(pack_words(r[0], r[1], zero_point), vreinterpretq_s16_s32(low));
    return vreinterpretq_s32_s16(vminq_s16(words, vdupq_n_s16(255)));
  }
  static void store_part(std::byte* p, Reg packed, int part) {
    const int16x8_t words = vreinterpretq_s16_s32(packed);
    vst1_s16(reinterpret_cast<std::int16_t*>(p), part == 0 ? vget_low_s16(words) : vget_high_s16(words));
  }
  static Words load_words(const std::byte* p, std::size_t) {
    return vld1q_s16(reinterpret_cast<const std::int16_t*>(p));
  }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kNeonIntegerKernels = make_table();

}  // namespace qarepvgg
