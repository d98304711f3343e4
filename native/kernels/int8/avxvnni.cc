// Integers with AVX-VNNI: four products of bytes per lane and instruction, in 256-bit registers.
//
// The instructions are written in assembly: GCC 12 moves the accumulators of its intrinsics to the stack.
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec256.inc"

struct Vec : Vec256 {
  static constexpr std::size_t kElementBytes = 1;
  using LookUp = LookUpBytes;

  static void dot(Reg& acc, Reg a, Reg b) { asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b)); }
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
  static Reg set_elements(std::int32_t x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  static Reg pack_bytes(Reg first, Reg second, Reg low) {
    return _mm256_max_epu8(_mm256_packus_epi16(first, second), low);
  }
  static Reg pack(const Reg* r, Reg zero_point, Reg low) {
    const Reg first = pack_words(r[0], r[1], zero_point), second = pack_words(r[2], r[3], zero_point);
    return _mm256_permutevar8x32_epi32(pack_bytes(first, second, low), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  static void store_part(std::byte* p, Reg packed, int part) {
    const __m128i half = part < 2 ? _mm256_castsi256_si128(packed) : _mm256_extracti128_si256(packed, 1);
    if (part % 2 == 0)
      _mm_storel_epi64(reinterpret_cast<__m128i*>(p), half);
    else
      _mm_storeh_pd(reinterpret_cast<double*>(p), _mm_castsi128_pd(half));
  }

  static constexpr bool kInterleaves = true;
  template <int Rows>
  static void interleave(const Reg* rows, Reg* out) {
    const Reg zero = _mm256_setzero_si256(), second = Rows > 1 ? rows[Rows > 1 ? 1 : 0] : zero;
    const Reg third = Rows > 2 ? rows[Rows > 2 ? 2 : 0] : zero, fourth = Rows > 3 ? rows[Rows > 3 ? 3 : 0] : zero;
    const Reg a = _mm256_unpacklo_epi8(rows[0], second), b = _mm256_unpackhi_epi8(rows[0], second);
    const Reg c = Rows > 2 ? _mm256_unpacklo_epi8(third, fourth) : zero;
    const Reg d = Rows > 2 ? _mm256_unpackhi_epi8(third, fourth) : zero;
    out[0] = _mm256_unpacklo_epi16(a, c);
    out[1] = _mm256_unpackhi_epi16(a, c);
    out[2] = _mm256_unpacklo_epi16(b, d);
    out[3] = _mm256_unpackhi_epi16(b, d);
  }
  static void dot_at(Reg& acc, Reg a, const std::byte* p) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "m"(*reinterpret_cast<const __m256i_u*>(p)));
  }
  static Words load_words(const std::byte* p, std::size_t) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
};

constexpr int kMaxRows1 = 12, kMaxRows2 = 6, kMaxRows3 = 4;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kAvxVnniIntegerKernels = make_table();

}  // namespace qarepvgg
