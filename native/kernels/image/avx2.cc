// AVX2: two rows of red, green, blue and an unused byte.
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/image_kernels.h"

namespace qarepvgg {
namespace {

struct Vec {
  static constexpr std::size_t kRows = 2;

  static INLINE __m256i set(std::int32_t x) { return _mm256_set1_epi32(x); }
  static INLINE __m256i add(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
  static INLINE __m256i mul(__m256i a, __m256i b) { return _mm256_mullo_epi32(a, b); }
  static INLINE __m256i load(const std::uint8_t* pixel, std::size_t row) {
    std::int32_t first, second;
    std::memcpy(&first, pixel, sizeof first);
    std::memcpy(&second, pixel + row, sizeof second);
    return _mm256_cvtepu8_epi32(_mm_setr_epi32(first, second, 0, 0));
  }
  static INLINE void store(std::uint8_t* pixel, std::size_t row, __m256i sums) {
    const __m256i shifted = _mm256_srai_epi32(sums, kWeightBits);
    const __m256i words = _mm256_packs_epi32(shifted, shifted);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const int first = _mm256_extract_epi32(bytes, 0), second = _mm256_extract_epi32(bytes, 4);
    std::memcpy(pixel, &first, sizeof first);
    std::memcpy(pixel + row, &second, sizeof second);
  }
};

#include "kernels/image/body.inc"

}  // namespace

const ImageKernels kAvx2ImageKernels = kTable;

}  // namespace qarepvgg
