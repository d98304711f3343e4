// Integers with the 8-bit matrix extension of ARMv8.6. This uses its dot product of unsigned and signed bytes: four
// products per lane and instruction.
#include <arm_neon.h>
#include <cstring>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/integer_vec128.inc"
#include "kernels/integer_vec128_bytes.inc"

struct Vec : Vec128Bytes {
  static void dot(Reg& acc, Reg a, Reg b) {
    acc = vsudotq_laneq_s32(acc, vreinterpretq_s8_s32(b), vreinterpretq_u8_s32(a), 0);
  }
  static void dot_lanes(Reg& acc, Reg a, Reg b) {
    acc = vusdotq_s32(acc, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b));
  }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;

#include "kernels/integer_body.inc"

}  // namespace

const IntegerKernels kNeonI8mmIntegerKernels = make_table();

}  // namespace qarepvgg
