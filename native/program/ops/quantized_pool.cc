// quantizedGlobalAverage: [x]; inputScale, inputZeroPoint, outputScale, outputZeroPoint.
#include "kernels/dispatch.h"
#include "ops/pooling.h"
#include "program/ops/image_parts.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

class QuantizedPoolStep final : public Step {
 public:
  QuantizedPoolStep(const ValueType& in, const ValueType& out, std::size_t members)
      : Step({integer_average_items(in.map()), members, bytes_size(in.bytes())}),
        in_(in),
        out_(out),
        shape_(in.map()),
        out_shape_(out.map()) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    integer_global_average(ByteMap(at.inputs[0], shape_, in_.element), *in_.quantization,
                           ByteMap(at.outputs[0], out_shape_, out_.element), *out_.quantization,
                           *active_kernels().integer, items);
  }

  ValueType in_, out_;
  MapShape shape_, out_shape_;
};

class QuantizedPoolOp final : public Op {
 public:
  explicit QuantizedPoolOp(const OpContext& context)
      : from_(read_input_quantization(context)), to_(read_quantization(context, "output")) {
    SumStore(from_, to_).check({1.0f}, "its scales");
    resize(read_image(context, Dtype::kUint8));
  }

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {integer_map({in_.n, in_.c, 1, 1}, to_)}; }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<QuantizedPoolOp>(*this);
    op->resize(inputs[0].map());
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    return std::make_unique<QuantizedPoolStep>(inputs[0], outputs[0], members);
  }

 private:
  void resize(const MapShape& input) {
    if (checked_mul(input.h, input.w) > kMaxAveragedPixels)
      fail(code::kShape, "expected a global average of at most ", kMaxAveragedPixels, " pixels, received ", input.h,
           " x ", input.w);
    in_ = input;
  }

  Quantization from_, to_;
  MapShape in_;
};

}  // namespace

std::unique_ptr<Op> make_quantized_global_average(const OpContext& context) {
  context.expect_inputs(1, 1);
  return std::make_unique<QuantizedPoolOp>(context);
}

}  // namespace qarepvgg
