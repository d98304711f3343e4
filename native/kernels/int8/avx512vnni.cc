// Integers with AVX-512 VNNI: four products of bytes per lane and instruction, in 512-bit registers.
//
// The instructions are written in assembly: GCC 12 moves the accumulators of its intrinsics to the stack.
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec512.inc"

struct Vec : Vec512 {
  static constexpr std::size_t kElementBytes = 1;
  using LookUp = LookUpBytes;

  static void dot(Reg& acc, Reg a, Reg b) { asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b)); }
  static void dot_words(Reg& acc, Reg a, Reg b) { asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b)); }
  static Reg widen(const std::byte* p) {
    return _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void narrow(std::byte* p, Reg r) { _mm512_mask_cvtepi32_storeu_epi8(p, 0xffff, r); }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) { _mm512_mask_cvtepi32_storeu_epi8(p, first(n), r); }
  static Reg set_elements(std::int32_t x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  static Reg pack_bytes(Reg first, Reg second, Reg low) {
    return _mm512_max_epu8(_mm512_packus_epi16(first, second), low);
  }
  static Reg pack(const Reg* r, Reg zero_point, Reg low) {
    const Reg order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const Reg first = pack_words(r[0], r[1], zero_point), second = pack_words(r[2], r[3], zero_point);
    return _mm512_maskz_permutexvar_epi32(0xffff, order, pack_bytes(first, second, low));
  }
  static void store_part(std::byte* p, Reg packed, int part) {
    const __m128i bytes = part == 0   ? _mm512_maskz_extracti32x4_epi32(0xf, packed, 0)
                          : part == 1 ? _mm512_maskz_extracti32x4_epi32(0xf, packed, 1)
                          : part == 2 ? _mm512_maskz_extracti32x4_epi32(0xf, packed, 2)
                                      : _mm512_maskz_extracti32x4_epi32(0xf, packed, 3);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }

  static constexpr bool kInterleaves = true;
  template <int Rows>
  static void interleave(const Reg* rows, Reg* out) {
    const Reg zero = _mm512_setzero_si512(), second = Rows > 1 ? rows[Rows > 1 ? 1 : 0] : zero;
    const Reg third = Rows > 2 ? rows[Rows > 2 ? 2 : 0] : zero, fourth = Rows > 3 ? rows[Rows > 3 ? 3 : 0] : zero;
    const Reg a = _mm512_unpacklo_epi8(rows[0], second), b = _mm512_unpackhi_epi8(rows[0], second);
    const Reg c = Rows > 2 ? _mm512_unpacklo_epi8(third, fourth) : zero;
    const Reg d = Rows > 2 ? _mm512_unpackhi_epi8(third, fourth) : zero;
    out[0] = _mm512_unpacklo_epi16(a, c);
    out[1] = _mm512_unpackhi_epi16(a, c);
    out[2] = _mm512_unpacklo_epi16(b, d);
    out[3] = _mm512_unpackhi_epi16(b, d);
  }
  static void dot_at(Reg& acc, Reg a, const std::byte* p) {
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "m"(*reinterpret_cast<const __m512i_u*>(p)));
  }
  static Words load_words(const std::byte* p, std::size_t n) {
    return _mm512_maskz_cvtepu8_epi16(0xffffffffu, _mm256_maskz_loadu_epi8(words(n), p));
  }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 14, kMaxRows3 = 9;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kAvx512VnniIntegerKernels = make_table();

}  // namespace qarepvgg
