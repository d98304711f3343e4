// The common part of ops on integers.
#pragma once

#include <array>
#include <optional>

#include "ops/quantization.h"
#include "program/ops/conv_parts.h"

namespace qarepvgg {

// A table of 256 integers, and the quantisation of its entries.
struct ByteTable {
  static constexpr std::size_t kBytes = 256;

  std::array<std::uint8_t, kBytes> entries;
  Quantization to;
};
// Reads operand number `input` and the attributes tableScale and tableZeroPoint; nothing if the operand is absent.
std::optional<ByteTable> read_table(const OpContext& context, std::size_t input);
// Reads the elements of such an operand.
std::array<std::uint8_t, ByteTable::kBytes> read_entries(const OpContext& context, std::size_t input);

// A convolution of integers, read from its node and checked.
struct QuantizedNode {
  ConvDims dims;
  bool transposed = false, from_image = false;
  Quantization from;
  std::optional<Quantization> to;
  Activation activation;  // before integers only a ReLU
  std::optional<ByteTable> table;
  QuantizedWeights weights;  // [out][in / groups][taps]; empty once they are packed

  ValueType output() const;
};
QuantizedNode read_quantized_conv(const OpContext& context, bool transposed);

// The transposed convolution to floats if is_narrow (narrow_transpose.h).
std::unique_ptr<Op> make_narrow_quantized_transpose(QuantizedNode node);

}  // namespace qarepvgg
