#include "reference/im2col_gemm.h"

#include <algorithm>

#include "base/parallel.h"

namespace qarepvgg::reference {
namespace {

// Blocks of the patch matrix: 128 rows of 256 floats are 128 KiB and stay in the second-level cache for all output
// channels. A piece of a row of 1 KiB and its output stay in the first-level cache.
constexpr std::size_t kBlockRows = 128, kBlockColumns = 256;

// Writes the patch matrix of one image and group, row-major [channel][ky][kx][out_y][out_x]: row r holds, for every
// output pixel, the input value that weight r is multiplied by. It is kernel^2 / stride^2 times the size of the image.
void im2col(const Im2colShape& s, const float* image, float* patches, int threads) {
  parallel_for(threads, s.patch_rows(), [&](std::size_t row) {
    const std::size_t channel = row / (s.kernel * s.kernel), tap = row % (s.kernel * s.kernel);
    const float* plane = image + channel * s.in_h * s.in_w;
    float* out = patches + row * s.out_h() * s.out_w();
    for (std::size_t y = 0; y < s.out_h(); ++y) {
      const std::size_t in_y = y * s.stride + tap / s.kernel * s.dilation;  // counted from the top of the padding
      for (std::size_t x = 0; x < s.out_w(); ++x) {
        const std::size_t in_x = x * s.stride + tap % s.kernel * s.dilation;
        const bool inside =
            in_y >= s.padding && in_x >= s.padding && in_y - s.padding < s.in_h && in_x - s.padding < s.in_w;
        *out++ = inside ? plane[(in_y - s.padding) * s.in_w + in_x - s.padding] : 0.0f;
      }
    }
  });
}

// c[m][n] += a[m][k] * b[k][n] for rows begin..end of a and c, all row-major. The innermost loop runs along rows of b
// and c, so a compiler can vectorise it.
void multiply(const float* a, const float* b, float* c, std::size_t begin, std::size_t end, std::size_t depth,
              std::size_t columns) {
  for (std::size_t column = 0; column < columns; column += kBlockColumns) {
    const std::size_t width = std::min(kBlockColumns, columns - column);
    for (std::size_t first = 0; first < depth; first += kBlockRows)
      for (std::size_t m = begin; m < end; ++m) {
        float* out = c + m * columns + column;
        for (std::size_t k = first; k < std::min(first + kBlockRows, depth); ++k) {
          const float factor = a[m * depth + k];
          const float* in = b + k * columns + column;
          for (std::size_t i = 0; i < width; ++i) out[i] += factor * in[i];
        }
      }
  }
}

}  // namespace

void im2col_convolution(const Im2colShape& s, const float* x, const float* weight, const float* bias, bool relu,
                        float* y, float* patches, int threads) {
  const std::size_t in_group = s.in_c / s.groups, out_group = s.out_c / s.groups;
  const std::size_t depth = s.patch_rows(), pixels = s.out_h() * s.out_w();
  for (std::size_t n = 0; n < s.n; ++n)
    for (std::size_t group = 0; group < s.groups; ++group) {
      im2col(s, x + (n * s.in_c + group * in_group) * s.in_h * s.in_w, patches, threads);
      const std::size_t first = group * out_group;
      float* out = y + (n * s.out_c + first) * pixels;
      parallel_ranges(threads, out_group, static_cast<std::size_t>(threads), [&](std::size_t begin, std::size_t end) {
        for (std::size_t m = begin; m < end; ++m)
          std::fill_n(out + m * pixels, pixels, bias != nullptr ? bias[first + m] : 0.0f);
        multiply(weight + first * depth, patches, out, begin, end, depth, pixels);
        if (!relu) return;
        for (std::size_t i = begin * pixels; i < end * pixels; ++i) out[i] = out[i] < 0.0f ? 0.0f : out[i];
      });
    }
}

}  // namespace qarepvgg::reference
