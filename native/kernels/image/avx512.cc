// AVX-512: four rows of red, green, blue and an unused byte.
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/image_kernels.h"

namespace qarepvgg {
namespace {

// Masked forms with a full mask are the same instructions as the plain ones; GCC 12 warns about the plain intrinsics'
// undefined pass-through operand.
struct Vec {
  static constexpr std::size_t kRows = 4;

  static INLINE __m512i set(std::int32_t x) { return _mm512_set1_epi32(x); }
  static INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
  static INLINE __m512i mul(__m512i a, __m512i b) { return _mm512_mullo_epi32(a, b); }
  static INLINE __m512i load(const std::uint8_t* pixel, std::size_t row) {
    const auto of = [=](std::size_t r) {
      std::int32_t bytes;
      std::memcpy(&bytes, pixel + r * row, sizeof bytes);
      return bytes;
    };
    return _mm512_maskz_cvtepu8_epi32(0xffff, _mm_setr_epi32(of(0), of(1), of(2), of(3)));
  }
  static INLINE void store(std::uint8_t* pixel, std::size_t row, __m512i sums) {
    const __m512i shifted = _mm512_maskz_srai_epi32(0xffff, sums, kWeightBits);
    const __m512i positive = _mm512_maskz_max_epi32(0xffff, shifted, _mm512_setzero_si512());
    const __m128i bytes = _mm512_maskz_cvtusepi32_epi8(0xffff, positive);
    const int pixels[]{_mm_extract_epi32(bytes, 0), _mm_extract_epi32(bytes, 1), _mm_extract_epi32(bytes, 2),
                       _mm_extract_epi32(bytes, 3)};
    for (std::size_t r = 0; r < kRows; ++r) std::memcpy(pixel + r * row, pixels + r, sizeof pixels[r]);
  }
};

#include "kernels/image/body.inc"

}  // namespace

const ImageKernels kAvx512ImageKernels = kTable;

}  // namespace qarepvgg
