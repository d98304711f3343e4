#include "program/ops/quantized_parts.h"

#include <algorithm>

#include "ops/input_image.h"
#include "program/ops/activation.h"

namespace qarepvgg {
namespace {

template <class T>
std::vector<T> read_list(const OpContext& context, std::size_t input, Dtype type) {
  const Source& source = context.inputs[input];
  const auto* first = reinterpret_cast<const T*>(read_constant(context, input, type, source.dims()));
  return {first, first + source.tensor.elements()};
}

// [in][out / groups][taps] -> [out][in / groups][taps]
std::vector<std::int8_t> turned(const std::vector<std::int8_t>& weight, const ConvDims& dims) {
  const std::size_t depth = dims.in.c / dims.groups, width = dims.out_c / dims.groups, taps = dims.window.taps();
  std::vector<std::int8_t> result(weight.size());
  for (std::size_t in = 0; in < dims.in.c; ++in)
    for (std::size_t out = 0; out < width; ++out) {
      const std::size_t to = ((in / depth * width + out) * depth + in % depth) * taps;
      std::copy_n(&weight[(in * width + out) * taps], taps, &result[to]);
    }
  return result;
}

bool reads_image(const OpContext& context, const ConvDims& dims) {
  if (context.inputs[0].quantization) return false;
  if (dims.in.n != 1 || dims.in.c > kMaxImageChannels || dims.groups != 1 || context.inputs[0].layout != Layout::kPlain)
    fail(code::kInvalidArg, "expected to read integers, or one image of at most ", kMaxImageChannels,
         " channels in one group, received floats");
  return true;
}

}  // namespace

std::array<std::uint8_t, ByteTable::kBytes> read_entries(const OpContext& context, std::size_t input) {
  const auto* entries =
      reinterpret_cast<const std::uint8_t*>(read_constant(context, input, Dtype::kUint8, {ByteTable::kBytes}));
  std::array<std::uint8_t, ByteTable::kBytes> table;
  std::copy_n(entries, table.size(), table.begin());
  return table;
}

std::optional<ByteTable> read_table(const OpContext& context, std::size_t input) {
  if (!context.is_given(input)) return std::nullopt;
  return ByteTable{read_entries(context, input), read_quantization(context, "table")};
}

ValueType QuantizedNode::output() const { return to ? integer_map(out, table ? table->to : *to) : float_map(out); }

QuantizedNode read_quantized_conv(const OpContext& context, bool transposed) {
  context.expect_inputs(4, 5);
  const Attributes& attributes = context.attributes();
  const bool is_integer = transposed || context.inputs[0].quantization;
  const MapShape in = read_image(context, is_integer ? Dtype::kUint8 : Dtype::kFloat32);
  const ConvDims dims = read_conv_dims(context, in, transposed);
  const bool from_image = !is_integer && reads_image(context, dims);
  QuantizedNode node{
      dims,
      from_image,
      from_image ? read_quantization(context, "input") : read_input_quantization(context),
      {},
      stored_activation_of(attributes),
      read_table(context, 4),
      {read_list<std::int8_t>(context, 1, Dtype::kInt8), read_list<std::int32_t>(context, 2, Dtype::kInt32),
       read_list<float>(context, 3, Dtype::kFloat32)}};
  if (attributes.has("outputScale")) node.to = read_quantization(context, "output");
  if (node.table && !node.to) fail(code::kInvalidArg, "expected an outputScale beside a table, received none");
  const auto activation = activation_of(attributes);
  if (activation && node.to && (activation->kind != Unary::kRelu || activation->is_scaled()))
    fail(code::kModelIncompatible, "expected an activation of relu before integers, received another one");
  if (transposed) node.weights.weight = turned(node.weights.weight, dims);
  check_weights(node.weights, dims.out_c, dims.in.c / dims.groups * dims.window.taps(), "its weights");
  SumStore(node.from, node.to, node.activation).check(node.weights.scale, "its weights");
  return node;
}

}  // namespace qarepvgg
