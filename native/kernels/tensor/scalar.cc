// Portable kernels for the compiler's baseline.
#include <cstdint>

#include "kernels/attributes.h"
#include "kernels/tensor_kernels.h"

namespace qarepvgg {
namespace {

#include "kernels/tensor/body.inc"

}  // namespace

const TensorKernels kScalarTensorKernels = kTable;

}  // namespace qarepvgg
