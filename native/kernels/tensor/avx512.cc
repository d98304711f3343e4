// AVX-512: vectors of 16 floats.
#include <cstdint>

#include "kernels/attributes.h"
#include "kernels/tensor_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/tensor/body.inc"

}  // namespace

const TensorKernels kAvx512TensorKernels = kTable;

}  // namespace qarepvgg
