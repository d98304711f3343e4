// Integers with AVX-512 but without VNNI: elements are 16-bit words, as with AVX2.
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec512.inc"

struct Vec : Vec512 {
  static constexpr std::size_t kElementBytes = 2;
  static constexpr bool kInterleaves = false;
  using LookUp = LookUpWords;

  static void dot(Reg& acc, Reg a, Reg b) { acc = _mm512_add_epi32(acc, _mm512_madd_epi16(a, b)); }
  static void dot_words(Reg& acc, Reg a, Reg b) { dot(acc, a, b); }
  static Reg widen(const std::byte* p) {
    return _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static void narrow(std::byte* p, Reg r) { _mm512_mask_cvtepi32_storeu_epi16(p, 0xffff, r); }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) { _mm512_mask_cvtepi32_storeu_epi16(p, first(n), r); }
  static Reg set_elements(std::int32_t x) { return set_words(x); }
  static Reg pack(const Reg* r, Reg zero_point, Reg low) {
    const Reg words = _mm512_min_epi16(_mm512_max_epi16(pack_words(r[0], r[1], zero_point), low), set_words(255));
    return _mm512_maskz_permutexvar_epi64(0xff, _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words);
  }
  static void store_part(std::byte* p, Reg packed, int part) {
    const __m256i half =
        part == 0 ? _mm512_maskz_extracti64x4_epi64(0xf, packed, 0) : _mm512_maskz_extracti64x4_epi64(0xf, packed, 1);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
  }
  static Words load_words(const std::byte* p, std::size_t n) { return _mm512_maskz_loadu_epi16(words(n), p); }
};

constexpr int kMaxRows1 = 14, kMaxRows2 = 13, kMaxRows3 = 8;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kAvx512IntegerKernels = make_table();

}  // namespace qarepvgg
