// Integers with the 8-bit matrix extension of ARMv8.6. This uses its dot product of unsigned and signed bytes: four
// products per lane and instruction.
#include <arm_neon.h>
#include <cstring>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec128.inc"
#include "kernels/int8/vec128_bytes.inc"

struct Vec : Vec128Bytes {
  static void dot(Reg& acc, Reg a, Reg b) {
    acc = vsudotq_laneq_s32(acc, vreinterpretq_s8_s32(b), vreinterpretq_u8_s32(a), 0);
  }

  static constexpr bool kInterleaves = true;
  template <int Rows>
  static void interleave(const Reg* rows, Reg* out) {
    uint8x16_t r[4];
    for (int i = 0; i < 4; ++i) r[i] = i < Rows ? vreinterpretq_u8_s32(rows[i]) : vdupq_n_u8(0);
    const uint16x8_t a = vreinterpretq_u16_u8(vzip1q_u8(r[0], r[1])), b = vreinterpretq_u16_u8(vzip2q_u8(r[0], r[1]));
    const uint16x8_t c = vreinterpretq_u16_u8(vzip1q_u8(r[2], r[3])), d = vreinterpretq_u16_u8(vzip2q_u8(r[2], r[3]));
    out[0] = vreinterpretq_s32_u16(vzip1q_u16(a, c));
    out[1] = vreinterpretq_s32_u16(vzip2q_u16(a, c));
    out[2] = vreinterpretq_s32_u16(vzip1q_u16(b, d));
    out[3] = vreinterpretq_s32_u16(vzip2q_u16(b, d));
  }
  static void dot_at(Reg& acc, Reg a, const std::byte* p) {
    acc = vusdotq_s32(acc, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(load(p)));
  }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kNeonI8mmIntegerKernels = make_table();

}  // namespace qarepvgg
