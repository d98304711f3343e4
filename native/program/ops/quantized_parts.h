// What ops on integers have in common.
#pragma once

#include <array>
#include <optional>

#include "ops/quantization.h"
#include "program/ops/conv_parts.h"

namespace qarepvgg {

// What each of 256 integers becomes, and what the results stand for.
struct ByteTable {
  static constexpr std::size_t kBytes = 256;

  std::array<std::uint8_t, kBytes> entries;
  Quantization to;
};
// Operand number `input` with the attributes tableScale and tableZeroPoint; none where the operand is absent.
std::optional<ByteTable> read_table(const OpContext& context, std::size_t input);
// The elements of such an operand.
std::array<std::uint8_t, ByteTable::kBytes> read_entries(const OpContext& context, std::size_t input);

// A convolution of integers, read from its node and checked.
struct QuantizedNode {
  ConvDims dims;
  bool transposed = false, from_image = false;
  Quantization from;
  std::optional<Quantization> to;
  bool relu = false;
  std::optional<ByteTable> table;
  QuantizedWeights weights;  // [out][in / groups][taps]; empty once they are packed

  ValueType output() const;
};
QuantizedNode read_quantized_conv(const OpContext& context, bool transposed);

}  // namespace qarepvgg
