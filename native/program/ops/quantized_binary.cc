// quantizedBinary: [a, b, table?]; kind add, mul or sub; aScale, aZeroPoint, bScale, bZeroPoint, outputScale,
// outputZeroPoint, and tableScale, tableZeroPoint if there is a table. One of a and b has the dims of the output. The
// other one has the same dims, is a map of one pixel [n or 1, c, 1, 1], or is a constant of one number or one per
// channel. quantizedTable: [x, table]; inputScale, inputZeroPoint, outputScale, outputZeroPoint: y = table[x].
#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "program/ops/image_parts.h"
#include "program/ops/map_binary.h"
#include "program/ops/map_step.h"
#include "program/ops/quantized_parts.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

const IntegerKernels& kernels() { return *active_kernels().integer; }

// ---- of two operands ---------------------------------------------------------------------------------------------

IntegerBinaryKind kind_of(const OpContext& context) {
  const std::string& kind = context.attributes().text("kind");
  if (kind == "add") return IntegerBinaryKind::kAdd;
  if (kind == "mul") return IntegerBinaryKind::kMul;
  if (kind == "sub") return IntegerBinaryKind::kSub;
  fail(code::kInvalidArg, "expected kind add, mul or sub, received '", kind, "'");
}

// The constants of onnxruntime's kernels, computed in float and in their order (mlas/lib/qladd.cpp, qlmul.cpp); sub is
// ONNX's DequantizeLinear, Sub, QuantizeLinear. `a` is the operand that changes from pixel to pixel.
IntegerBinary constants_of(IntegerBinaryKind kind, const Quantization& a, const Quantization& b,
                           const Quantization& to) {
  IntegerBinary p{a.scale(), b.scale(), 0, a.zero_point(), b.zero_point(), to.parameters()};
  if (kind == IntegerBinaryKind::kSub) return p;
  p.fixed = to.zero_point();
  if (kind == IntegerBinaryKind::kMul) {
    p.scale_a = a.scale() * b.scale() / to.scale();
    return p;
  }
  p.scale_a = a.scale() / to.scale();
  p.scale_b = b.scale() / to.scale();
  // onnxruntime's compiler fuses the first product with the sum.
  p.fixed -= std::fma(p.scale_a, static_cast<float>(a.zero_point()), p.scale_b * static_cast<float>(b.zero_point()));
  return p;
}

// Larger results might not be finite, or might wrap in onnxruntime's conversion to integers.
constexpr float kMostSteps = 0x1p22f;

void check_steps(IntegerBinaryKind kind, const IntegerBinary& p) {
  const float most = kind == IntegerBinaryKind::kMul   ? p.scale_a * 255 * 255
                     : kind == IntegerBinaryKind::kAdd ? (p.scale_a + p.scale_b) * 255
                                                       : (p.scale_a + p.scale_b) * 255 / p.to.scale;
  if (!(most < kMostSteps))
    fail(code::kQuantParam, "expected an output scale in whose units results are below ", kMostSteps,
         ", received one in which they reach ", most);
}

class QuantizedBinary final : public Op {
 public:
  explicit QuantizedBinary(const OpContext& context)
      : kind_(kind_of(context)), to_(read_quantization(context, "output")), table_(read_table(context, 2)) {
    const Source &a = context.inputs[0], &b = context.inputs[1];
    for (const Source* operand : {&a, &b})
      if (operand->tensor.type != Dtype::kUint8)
        fail(code::kDtype, "expected operands of uint8, received ", name_of(operand->tensor.type));
    if (a.constant != nullptr && b.constant != nullptr)
      fail(code::kInvalidArg, "expected an operand that is computed, received two constants");
    // The map is the operand with the dims of the output.
    map_ = a.constant != nullptr || (b.constant == nullptr && a.tensor.elements() < b.tensor.elements()) ? 1 : 0;
    const Dims& dims = context.inputs[map_].dims();
    if (dims.size() != 4 || elements_of(dims) == 0)
      fail(code::kShape, "expected an operand of 4 dims of at least 1, received ", text_of(dims));
    shape_ = {dims[0], dims[1], dims[2], dims[3]};
    const Source& other = context.inputs[1 - map_];
    const std::optional<Beside> form = beside_map(dims, other);
    if (!form)
      fail(code::kShape, "expected operands of the same dims, or one with one pixel or a constant one with a number ",
           "for each channel or for all, received ", text_of(a.dims()), " and ", text_of(b.dims()));
    form_ = *form;
    const char* const prefixes[]{"a", "b"};
    std::optional<Quantization> from[2];
    for (std::size_t i : {0u, 1u})
      from[i] = context.inputs[i].constant != nullptr ? read_quantization(context, prefixes[i])
                                                      : read_input_quantization(context, i, prefixes[i]);
    if (other.constant != nullptr) {
      const auto* first = reinterpret_cast<const std::uint8_t*>(other.constant);
      constant_.assign(first, first + other.tensor.elements());
    }
    // Sums and products are commutative; the operand that changes slowly goes second.
    swaps_ = map_ == 1 && kind_ != IntegerBinaryKind::kSub;
    constants_ = swaps_ ? constants_of(kind_, *from[1], *from[0], to_) : constants_of(kind_, *from[0], *from[1], to_);
    check_steps(kind_, constants_);
    element_ = static_cast<std::size_t>(kernels().element_bytes);
  }

  Access access(std::size_t input) const override {
    return input < 2 && (input == map_ || form_ == Beside::kMap || form_ == Beside::kPixel) ? Access::kMap
                                                                                            : Access::kNone;
  }
  std::vector<ValueType> outputs() const override { return {integer_map(shape_, table_ ? table_->to : to_)}; }
  std::size_t weight_bytes() const override {
    return (table_ ? ByteTable::kBytes : 0) + (constant_.empty() ? 0 : checked_mul(shape_.pixel(), element_));
  }
  void pack(std::byte* packed, int) override {
    if (table_) {
      std::copy(table_->entries.begin(), table_->entries.end(), reinterpret_cast<std::uint8_t*>(packed));
      entries_ = reinterpret_cast<const std::uint8_t*>(packed);
      packed += ByteTable::kBytes;
    }
    if (constant_.empty()) return;
    for (std::size_t c = 0; c < shape_.pixel(); ++c)
      fill_elements(packed + c * element_, 1, element_, constant_[std::min(c, constant_.size() - 1)]);
    pixel_ = packed;
    constant_.clear();
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    const MapShape in = inputs[map_].map();
    // The operand of one pixel may be the same for all images, or there is one for each.
    if (form_ == Beside::kPixel && inputs[1 - map_].dims()[0] != in.n) return nullptr;
    if (form_ == Beside::kMap && inputs[0].dims() != inputs[1].dims())
      fail(code::kShape, "expected operands of the same dims, received ", text_of(inputs[0].dims()), " and ",
           text_of(inputs[1].dims()));
    auto op = std::make_unique<QuantizedBinary>(*this);
    op->shape_ = {in.n, in.c, in.h, in.w};
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const ValueType map = inputs[map_], other = inputs[1 - map_], out = outputs[0];
    const auto rows = [this, map, other, out](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap x = at.input_bytes(map_, map), y = at.output_bytes(0, out);
      for (std::size_t line = first; line < end; ++line)
        run_row(at, x, other, y, line / y.shape.h, signed_size(line % y.shape.h));
      clear_padding(y, out.zero_point(), first, end);
    };
    return make_row_step(out.map(), members, std::nullopt, 1, rows);
  }

 private:
  void run_row(const Operands& at, const ByteMap& x, const ValueType& other, const ByteMap& y, std::size_t image,
               std::ptrdiff_t row) const {
    const std::size_t pixel = y.shape.pixel(), width = y.shape.w;
    const std::byte* from = x.at(image, row, 0);
    std::byte* to = y.at(image, row, 0);
    const auto combine = [&](const std::byte* p, const std::byte* q, std::size_t count, std::byte* result) {
      if (map_ == 1 && !swaps_) std::swap(p, q);
      kernels().binary[static_cast<std::size_t>(kind_)](constants_, p, q, count, result);
    };
    if (form_ == Beside::kMap) {
      combine(from, at.input_bytes(1 - map_, other).at(image, row, 0), width * pixel, to);
    } else {
      const std::byte* channels = pixel_;
      if (form_ == Beside::kPixel)
        channels = at.input_bytes(1 - map_, other).at(other.dims()[0] == 1 ? 0 : image, 0, 0);
      for (std::size_t i = 0; i < width; ++i) combine(from + i * x.pixel(), channels, pixel, to + i * y.pixel());
    }
    const std::ptrdiff_t step = signed_size(y.pixel());
    if (table_) kernels().look_up({entries_, to, step, to, step, width, y.shape.c});
  }

  IntegerBinaryKind kind_;
  Quantization to_;
  std::optional<ByteTable> table_;
  std::size_t map_ = 0;
  Beside form_ = Beside::kMap;
  bool swaps_ = false;
  IntegerBinary constants_{};
  MapShape shape_;
  std::size_t element_ = 1;
  std::vector<std::uint8_t> constant_;  // empty once it is packed
  const std::byte* pixel_ = nullptr;
  const std::uint8_t* entries_ = nullptr;
};

// ---- of one ------------------------------------------------------------------------------------------------------

class QuantizedTable final : public Op {
 public:
  explicit QuantizedTable(const OpContext& context)
      : in_(read_image(context, Dtype::kUint8)),
        table_{read_entries(context, 1), read_quantization(context, "output")} {
    read_input_quantization(context);
  }

  Access access(std::size_t input) const override { return input == 0 ? Access::kMap : Access::kNone; }
  std::vector<ValueType> outputs() const override { return {integer_map(in_, table_.to)}; }
  std::size_t weight_bytes() const override { return ByteTable::kBytes; }
  void pack(std::byte* packed, int) override {
    std::copy(table_.entries.begin(), table_.entries.end(), reinterpret_cast<std::uint8_t*>(packed));
    entries_ = reinterpret_cast<const std::uint8_t*>(packed);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<QuantizedTable>(*this);
    op->in_ = inputs[0].map();
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const ValueType in = inputs[0], out = outputs[0];
    const auto rows = [this, in, out](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap x = at.input_bytes(0, in), y = at.output_bytes(0, out);
      for (std::size_t line = first; line < end; ++line) {
        const std::size_t image = line / y.shape.h;
        const std::ptrdiff_t row = signed_size(line % y.shape.h);
        kernels().look_up({entries_, x.at(image, row, 0), signed_size(x.pixel()), y.at(image, row, 0),
                           signed_size(y.pixel()), y.shape.w, y.shape.c});
      }
    };
    return make_row_step(out.map(), members, std::nullopt, 1, rows);
  }

 private:
  MapShape in_;
  ByteTable table_;
  const std::uint8_t* entries_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_quantized_binary(const OpContext& context) {
  context.expect_inputs(2, 3);
  return std::make_unique<QuantizedBinary>(context);
}
std::unique_ptr<Op> make_quantized_table(const OpContext& context) {
  context.expect_inputs(2, 2);
  return std::make_unique<QuantizedTable>(context);
}

}  // namespace qarepvgg
