// quantize: [x]; outputScale, outputZeroPoint: converts a map of floats to integers. dequantize: [x]; inputScale,
// inputZeroPoint: the reverse. integerMap: [x]; outputScale, outputZeroPoint: takes a plain tensor of bytes as a map of
// integers. Signed ones are raised by 128.
#include "kernels/dispatch.h"
#include "ops/byte_map.h"
#include "program/ops/image_parts.h"
#include "program/ops/map_step.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

const IntegerKernels& kernels() { return *active_kernels().integer; }

class QuantizeOp final : public Op {
 public:
  explicit QuantizeOp(const OpContext& context)
      : in_(read_image(context, Dtype::kFloat32)), to_(read_quantization(context, "output")) {}

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {integer_map(in_, to_)}; }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<QuantizeOp>(*this);
    op->in_ = inputs[0].map();
    return op;
  }
  // Padding lanes need no extra work: zero becomes the zero point.
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map(), out = outputs[0].map();
    const auto rows = [in, out, element = outputs[0].element, parameters = to_.parameters()](
                          const Operands& at, std::size_t first, std::size_t end) {
      const FeatureMap x = at.input_map(0, in);
      const ByteMap y(at.outputs[0], out, element);
      for (std::size_t row = first; row < end; ++row) {
        const std::ptrdiff_t line = signed_size(row % in.h);
        kernels().quantize(x.at(row / in.h, line, 0), in.w * in.pixel(), parameters, y.at(row / in.h, line, 0));
      }
    };
    return make_row_step(out, members, std::nullopt, 1, rows);
  }

 private:
  MapShape in_;
  Quantization to_;
};

class DequantizeOp final : public Op {
 public:
  explicit DequantizeOp(const OpContext& context)
      : from_(read_input_quantization(context)), in_(read_image(context, Dtype::kUint8)) {}

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {float_map(in_)}; }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<DequantizeOp>(*this);
    op->in_ = inputs[0].map();
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map(), out = outputs[0].map();
    const auto rows = [in, out, element = inputs[0].element, from = from_](const Operands& at, std::size_t first,
                                                                           std::size_t end) {
      const ByteMap x(at.inputs[0], in, element);
      const FeatureMap y = at.output_map(out);
      for (std::size_t row = first; row < end; ++row) {
        const std::ptrdiff_t line = signed_size(row % in.h);
        kernels().dequantize(x.at(row / in.h, line, 0), in.w * in.pixel(), from.scale(), from.zero_point(),
                             y.at(row / in.h, line, 0));
      }
    };
    return make_row_step(out, members, std::nullopt, 1, rows);
  }

 private:
  Quantization from_;
  MapShape in_;
};

class IntegerMapOp final : public Op {
 public:
  explicit IntegerMapOp(const OpContext& context)
      : signed_(context.inputs[0].tensor.type == Dtype::kInt8),
        in_(read_image(context, signed_ ? Dtype::kInt8 : Dtype::kUint8)),
        as_(read_quantization(context, "output")) {}

  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {integer_map(in_, as_)}; }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<IntegerMapOp>(*this);
    op->in_ = inputs[0].map();
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const std::uint8_t flipped = signed_ ? 128 : 0;
    const auto rows = [flipped, out = outputs[0]](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap y = at.output_bytes(0, out);
      import_rows(reinterpret_cast<const std::uint8_t*>(at.inputs[0]), flipped, y, first, end);
      clear_padding(y, out.zero_point(), first, end);
    };
    return make_row_step(outputs[0].map(), members, std::nullopt, 1, rows);
  }

 private:
  bool signed_;
  MapShape in_;
  Quantization as_;
};

}  // namespace

std::unique_ptr<Op> make_quantize(const OpContext& context) {
  context.expect_inputs(1, 1);
  return std::make_unique<QuantizeOp>(context);
}
std::unique_ptr<Op> make_dequantize(const OpContext& context) {
  context.expect_inputs(1, 1);
  return std::make_unique<DequantizeOp>(context);
}
std::unique_ptr<Op> make_integer_map(const OpContext& context) {
  context.expect_inputs(1, 1);
  return std::make_unique<IntegerMapOp>(context);
}

}  // namespace qarepvgg
