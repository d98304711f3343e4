// Random quantised convolutions: full-range data, extreme weights, sums that fall on ties.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ops/quantization.h"
#include "reference/quantized.h"
#include "test/conv_cases.h"

namespace qarepvgg::test {

struct QuantizedCase {
  ConvShape shape;
  Quantization from;
  std::optional<Quantization> to;
  bool relu;
  std::shared_ptr<const QuantizedWeights> weights;

  reference::QuantizedConvolution reference() const;
};

Quantization random_quantization(Rng& rng);
// Integers from 0 to 255: any, only the extremes, or only a few values.
reference::Tensor random_integers(Rng& rng, const reference::Dims& dims);
// Weights of any size, or `small` enough for Winograd to be exact.
QuantizedCase random_quantized_case(Rng& rng, const ConvShape& shape, const Quantization& from, bool small);

std::string describe(const QuantizedCase& c);

}  // namespace qarepvgg::test
