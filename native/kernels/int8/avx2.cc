// Integers with AVX2. Its products of bytes saturate, so elements are 16-bit words, whose products are exact. They are
// half as fast as bytes would be, and twice as fast as floats.
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/int8/vec256.inc"

struct Vec : Vec256 {
  static constexpr std::size_t kElementBytes = 2;
  static constexpr bool kInterleaves = false;
  using LookUp = LookUpWords;

  static void dot(Reg& acc, Reg a, Reg b) { acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
  static void dot_words(Reg& acc, Reg a, Reg b) { dot(acc, a, b); }
  static Reg widen(const std::byte* p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void narrow(std::byte* p, Reg r) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words_of(r)); }
  static void narrow_first(std::byte* p, Reg r, std::size_t n) {
    std::byte all[16];
    narrow(all, r);
    for (std::size_t i = 0; i < n * kElementBytes; ++i) p[i] = all[i];
  }
  static Reg set_elements(std::int32_t x) { return set_words(x); }
  static Reg pack(const Reg* r, Reg zero_point, Reg low) {
    const Reg words = _mm256_min_epi16(_mm256_max_epi16(pack_words(r[0], r[1], zero_point), low), set_words(255));
    return _mm256_permute4x64_epi64(words, 0xd8);
  }
  static void store_part(std::byte* p, Reg packed, int part) {
    const __m128i half = part == 0 ? _mm256_castsi256_si128(packed) : _mm256_extracti128_si256(packed, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
  }
  static Words load_words(const std::byte* p, std::size_t) { return load(p); }
};

constexpr int kMaxRows1 = 11, kMaxRows2 = 6, kMaxRows3 = 3;

#include "kernels/int8/body.inc"

}  // namespace

const IntegerKernels kAvx2IntegerKernels = make_table();

}  // namespace qarepvgg
