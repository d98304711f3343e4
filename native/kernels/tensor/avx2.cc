// AVX2: vectors of 8 floats.
#include <cstdint>

#include "kernels/attributes.h"
#include "kernels/tensor_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/tensor/body.inc"

}  // namespace

const TensorKernels kAvx2TensorKernels = kTable;

}  // namespace qarepvgg
