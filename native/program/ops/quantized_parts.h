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
struct QuantizedNode : ConvDims {
  using Numbers = IntegerNumbers;
  using Lines = IntegerLines;

  bool from_image = false;
  Quantization from;
  std::optional<Quantization> to;
  Activation activation;  // before integers only a ReLU
  std::optional<ByteTable> table;
  QuantizedWeights weights;  // [out][in / groups][taps], also if transposed; empty once they are packed

  const std::int8_t* first_weight() const { return weights.weight.data(); }
  bool has_transposed_weight() const { return false; }
  IntegerLines lines(const MapShape& image) const { return {image, from, *active_kernels().integer}; }
  // What a step does with its sums, for each class of outputs.
  struct Outputs {
    std::vector<SumStore> sums;

    template <class Body>
    void use(const Operands&, const Body& body) const {
      body(sums.data());
    }
  };
  ValueType output() const;
};
QuantizedNode read_quantized_conv(const OpContext& context, bool transposed);

}  // namespace qarepvgg
