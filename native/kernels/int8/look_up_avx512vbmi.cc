// Tables of bytes with AVX-512 VBMI, whose permutation looks up 128 entries. Other kernels gain nothing from it.
#include <immintrin.h>

#include "kernels/attributes.h"
#include "kernels/integer_kernels.h"

namespace qarepvgg {

KERNEL void look_up_avx512vbmi(const LookUpRow& row) {
  constexpr std::size_t kBytes = 64;
  std::size_t pixels = row.pixels, channels = row.channels;
  const auto packed = static_cast<std::ptrdiff_t>(channels);
  if (row.x_pixel == packed && row.out_pixel == packed) {  // no gaps: the row is one long pixel
    channels *= pixels;
    pixels = 1;
  }
  __m512i table[4];
  for (std::size_t i = 0; i < 4; ++i) table[i] = _mm512_loadu_si512(row.table + i * kBytes);
  for (std::size_t p = 0; p < pixels; ++p) {
    const std::byte* x = row.x + static_cast<std::ptrdiff_t>(p) * row.x_pixel;
    std::byte* out = row.out + static_cast<std::ptrdiff_t>(p) * row.out_pixel;
    for (std::size_t c = 0; c < channels; c += kBytes) {
      const std::size_t left = channels - c;
      const __mmask64 mask = left < kBytes ? (__mmask64{1} << left) - 1 : ~__mmask64{0};
      const __m512i index = _mm512_maskz_loadu_epi8(mask, x + c);
      const __m512i low = _mm512_permutex2var_epi8(table[0], index, table[1]);
      const __m512i high = _mm512_permutex2var_epi8(table[2], index, table[3]);
      _mm512_mask_storeu_epi8(out + c, mask, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(index), high));
    }
  }
}

}  // namespace qarepvgg
