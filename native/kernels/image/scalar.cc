// Portable kernels for the compiler's baseline.
#include <cstdint>

#include "kernels/attributes.h"
#include "kernels/image_kernels.h"

namespace qarepvgg {
namespace {

struct Vec {
  static constexpr std::size_t kRows = 1;
};

#include "kernels/image/body.inc"

}  // namespace

const ImageKernels kScalarImageKernels = kTable;

}  // namespace qarepvgg
