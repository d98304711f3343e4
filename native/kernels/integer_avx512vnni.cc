// Integers with AVX-512 VNNI: four products of bytes per lane and instruction, in 512-bit registers.
//
// The instructions are written in assembly: GCC 12 moves the accumulators of its intrinsics to the stack.
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/integer_vec512.inc"

struct Vec : Vec512 {
  static constexpr std::size_t kElementBytes = 1;
  using LookUp = LookUpBytes;

  static void dot(Reg& acc, Reg a, Reg b) { asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b)); }
  static void dot_lanes(Reg& acc, Reg a, Reg b) { dot(acc, a, b); }
  static void dot_words(Reg& acc, Reg a, Reg b) { asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b)); }
  static Reg widen(const std::byte* p) {
    return _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void narrow(std::byte* p, Reg r) { _mm512_mask_cvtepi32_storeu_epi8(p, 0xffff, r); }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) { _mm512_mask_cvtepi32_storeu_epi8(p, first(n), r); }
  static Words load_words(const std::byte* p, std::size_t n) {
    return _mm512_maskz_cvtepu8_epi16(0xffffffffu, _mm256_maskz_loadu_epi8(words(n), p));
  }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;

#include "kernels/integer_body.inc"

}  // namespace

const IntegerKernels kAvx512VnniIntegerKernels = make_table();

}  // namespace qarepvgg
