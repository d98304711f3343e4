// Integers with the dot product instructions of ARMv8.2: four products of bytes per lane and instruction.
//
// They multiply signed bytes. An element with its highest bit flipped is the element minus 128 as a signed byte. The
// start of each sum makes up for the difference.
#include <arm_neon.h>
#include <cstring>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec128.inc"
#include "kernels/int8/vec128_bytes.inc"

constexpr std::int32_t kOffset = 128;

struct Vec : Vec128Bytes {
  static constexpr bool kInterleaves = false;
  static int8x16_t flipped(Reg a) {
    return vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(a), vdupq_n_u8(kOffset)));
  }
  static void dot(Reg& acc, Reg a, Reg b) { acc = vdotq_laneq_s32(acc, vreinterpretq_s8_s32(b), flipped(a), 0); }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kNeonDotIntegerKernels = make_table(kOffset);

}  // namespace qarepvgg
