// Integers with AVX-VNNI: four products of bytes per lane and instruction, in 256-bit registers.
//
// The instructions are written in assembly: GCC 12 moves the accumulators of its intrinsics to the stack.
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/integer_vec256.inc"

struct Vec : Vec256 {
  static constexpr std::size_t kElementBytes = 1;
  using LookUp = LookUpBytes;

  static void dot(Reg& acc, Reg a, Reg b) { asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b)); }
  static void dot_lanes(Reg& acc, Reg a, Reg b) { dot(acc, a, b); }
  static void dot_words(Reg& acc, Reg a, Reg b) { asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b)); }
  static Reg widen(const std::byte* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static void narrow(std::byte* p, Reg r) {
    const __m128i words = words_of(r);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) {
    std::byte all[8];
    narrow(all, r);
    for (std::size_t i = 0; i < n; ++i) p[i] = all[i];
  }
  static Words load_words(const std::byte* p, std::size_t) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
};

constexpr int kMaxRows1 = 12, kMaxRows2 = 6, kMaxRows3 = 4;

#include "kernels/integer_body.inc"

}  // namespace

const IntegerKernels kAvxVnniIntegerKernels = make_table();

}  // namespace qarepvgg
