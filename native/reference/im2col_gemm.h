// The textbook convolution: unfold one image into a patch matrix, then multiply matrices. Float, portable, without
// intrinsics. A second oracle for tests, and the baseline of the native benchmark. It is neither meant to be fast nor
// slow on purpose.
#pragma once

#include <cstddef>

namespace qarepvgg::reference {

struct Im2colShape {
  std::size_t n, in_c, in_h, in_w;
  std::size_t out_c;
  std::size_t kernel;  // square
  std::size_t stride, padding, dilation, groups;

  std::size_t out_h() const { return out_size(in_h); }
  std::size_t out_w() const { return out_size(in_w); }
  // Rows of the patch matrix of one group: one for each weight of an output channel.
  std::size_t patch_rows() const { return in_c / groups * kernel * kernel; }
  // Floats of the patch matrix of one group of one image.
  std::size_t patch_floats() const { return patch_rows() * out_h() * out_w(); }

 private:
  std::size_t out_size(std::size_t in) const { return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; }
};

// x: [n][in_c][in_h][in_w]. weight: [out_c][in_c / groups][kernel][kernel]. bias: [out_c], or null. y:
// [n][out_c][out_h][out_w]. patches: patch_floats() of workspace. The work of each image is split over `threads`.
void im2col_convolution(const Im2colShape& shape, const float* x, const float* weight, const float* bias, bool relu,
                        float* y, float* patches, int threads);

}  // namespace qarepvgg::reference
