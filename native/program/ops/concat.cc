// concat: [parts...]; axis. split: [x]; axis, sizes, one for each output. pad: [x]; mode constant, edge or reflect;
// before, after, one for each axis; value, which is zero for integers. Maps are concatenated and split along channels
// without a change of layout; maps of integers only if all have the same scale and zero point, and otherwise as bytes.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "program/ops/copy.h"
#include "program/ops/image_parts.h"
#include "program/ops/integer_moves.h"
#include "program/ops/map_step.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

std::size_t axis_of(const OpContext& context, std::size_t rank) {
  const std::size_t axis = context.attributes().size("axis");
  if (axis >= rank) fail(code::kInvalidArg, "expected an axis below ", rank, ", received ", axis);
  return axis;
}

// Whether an operand is a map of floats or integers.
bool is_map(const Source& source) { return source.layout == Layout::kMap && source.constant == nullptr; }

// The type of an output that has the elements of an operand.
ValueType type_like(const Source& source, const Dims& dims, Layout layout) {
  if (source.quantization && layout == Layout::kMap)
    return integer_map({dims[0], dims[1], dims[2], dims[3]}, *source.quantization);
  return {{source.tensor.type, dims}, layout, 0};
}

// How tensors are interleaved in their concatenation: each has a number of consecutive elements in each of `blocks`.
struct Parts {
  std::size_t blocks = 1, inner = 1, total = 0;  // inner: elements of one index of the axis
  std::vector<std::size_t> sizes;                // along the axis

  Parts(const Dims& whole, std::size_t axis, std::vector<std::size_t> lengths) : sizes(std::move(lengths)) {
    for (std::size_t i = 0; i < axis; ++i) blocks *= whole[i];
    for (std::size_t i = axis + 1; i < whole.size(); ++i) inner *= whole[i];
    for (std::size_t size : sizes) total += size;
  }

  // Of a part that is one block: its first byte.
  std::optional<std::size_t> offset(std::size_t part, Dtype type) const {
    if (blocks != 1) return std::nullopt;
    return std::accumulate(sizes.begin(), sizes.begin() + signed_size(part), std::size_t{0}) * inner * bytes_of(type);
  }
};

// ---- plain -------------------------------------------------------------------------------------------------------

class PlainParts final : public Step {
 public:
  PlainParts(Parts parts, std::size_t element, bool joins, std::size_t members)
      : Step({parts.blocks, members, 2 * bytes_size(parts.blocks * parts.total * parts.inner * element)}),
        parts_(std::move(parts)),
        element_(element),
        joins_(joins) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    // Few enough blocks at a time to stay in the first-level cache.
    const std::size_t line = parts_.total * parts_.inner * element_, end = items.first + items.length;
    const std::size_t most = std::max<std::size_t>(1, kChunkBytes / std::max<std::size_t>(line, 1));
    for (std::size_t block = items.first, count; block < end; block += count) {
      count = std::min(most, end - block);
      std::byte* whole = (joins_ ? at.outputs : at.inputs)[0] + block * line;
      for (std::size_t i = 0; i < parts_.sizes.size(); ++i) {
        const std::size_t bytes = parts_.sizes[i] * parts_.inner * element_;
        std::byte* part = (joins_ ? at.inputs : at.outputs)[i] + block * bytes;
        if (part == whole) {
          // It was computed there.
        } else if (joins_) {
          copy_lines(part, signed_size(bytes), whole, signed_size(line), bytes, count);
        } else {
          copy_lines(whole, signed_size(line), part, signed_size(bytes), bytes, count);
        }
        whole += bytes;
      }
    }
  }

  static constexpr std::size_t kChunkBytes = 16 * 1024;

  Parts parts_;
  std::size_t element_;
  bool joins_;
};

// ---- maps --------------------------------------------------------------------------------------------------------

void copy_channels(const ByteMap& from, std::size_t first, const ByteMap& to, std::size_t to_first, std::size_t count,
                   std::size_t image, std::ptrdiff_t row) {
  const std::byte* x = from.at(image, row, 0) + first * from.element;
  std::byte* y = to.at(image, row, 0) + to_first * to.element;
  const std::size_t from_pixel = from.pixel(), to_pixel = to.pixel(), bytes = count * to.element;
  for (std::size_t i = 0; i < to.shape.w; ++i, x += from_pixel, y += to_pixel) std::memcpy(y, x, bytes);
}

class ConcatOp final : public Op {
 public:
  explicit ConcatOp(const OpContext& context) : activation_(activation_of(context.attributes())) {
    if (!context.is_given(0)) fail(code::kInvalidArg, "expected operands, received none");
    like_ = context.inputs[0];
    const TensorType& first = like_.tensor;
    axis_ = axis_of(context, first.dims.size());
    result_ = first;
    result_.dims[axis_] = 0;
    bool alike = true, any_map = false, all_maps = axis_ == 1 && first.dims.size() == 4;
    for (const Source& source : context.inputs) {
      Dims rest = source.dims();
      if (rest.size() == first.dims.size()) rest[axis_] = first.dims[axis_];
      if (!source.given || source.tensor.type != first.type || rest != first.dims)
        fail(code::kShape, "expected operands of one type and alike but for axis ", axis_, ", received ",
             text_of(first.dims), " and ", text_of(source.dims()));
      sizes_.push_back(source.dims()[axis_]);
      result_.dims[axis_] = checked_add(result_.dims[axis_], source.dims()[axis_]);
      any_map |= is_map(source);
      all_maps &= source.constant == nullptr && (source.tensor.type == Dtype::kFloat32 || is_map(source)) &&
                  source.tensor.elements() > 0;
      alike &= source.quantization == like_.quantization;
    }
    layout_ = any_map && all_maps ? Layout::kMap : Layout::kPlain;
    if (layout_ == Layout::kMap && !alike)
      fail(code::kQuantParam, "expected operands with one scale and zero point, received several");
  }
  Access access(std::size_t) const override { return layout_ == Layout::kMap ? Access::kMap : Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {type_like(like_, result_.dims, layout_)}; }
  bool applies_activation() const override { return layout_ == Layout::kMap; }
  std::optional<std::size_t> offset_in_output(std::size_t input) const override {
    return layout_ == Layout::kMap ? std::nullopt : Parts(result_.dims, axis_, sizes_).offset(input, result_.type);
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    if (layout_ == Layout::kPlain)
      return std::make_unique<PlainParts>(Parts(result_.dims, axis_, sizes_), bytes_of(result_.type), true, members);
    const ValueType out = outputs[0];
    const auto rows = [out, inputs](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap y = at.output_bytes(0, out);
      for (std::size_t line = first; line < end; ++line) {
        std::size_t channel = 0;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          const ByteMap x = at.input_bytes(i, inputs[i]);
          copy_channels(x, 0, y, channel, x.shape.c, line / y.shape.h, signed_size(line % y.shape.h));
          channel += x.shape.c;
        }
      }
      clear_padding(y, out.zero_point(), first, end);
    };
    return make_row_step(out.map(), members, activation_, 1, rows);
  }

 private:
  std::optional<UnaryFunction> activation_;
  Source like_;
  TensorType result_;
  std::size_t axis_ = 0;
  std::vector<std::size_t> sizes_;
  Layout layout_ = Layout::kPlain;
};

class SplitOp final : public Op {
 public:
  explicit SplitOp(const OpContext& context) {
    context.expect_inputs(1, 1);
    like_ = context.inputs[0];
    whole_ = like_.tensor;
    axis_ = axis_of(context, whole_.dims.size());
    sizes_ = context.attributes().sizes("sizes", context.node.outputs.size());
    std::size_t sum = 0;
    for (std::size_t size : sizes_) sum = checked_add(sum, size);
    if (sum != whole_.dims[axis_])
      fail(code::kShape, "expected sizes that sum to ", whole_.dims[axis_], ", received ", sum);
    const bool empty = std::find(sizes_.begin(), sizes_.end(), std::size_t{0}) != sizes_.end();
    layout_ = is_map(like_) && axis_ == 1 && !empty ? Layout::kMap : Layout::kPlain;
  }
  Access access(std::size_t) const override { return layout_ == Layout::kMap ? Access::kMap : Access::kPlain; }
  std::vector<ValueType> outputs() const override {
    std::vector<ValueType> types;
    for (std::size_t size : sizes_) {
      Dims dims = whole_.dims;
      dims[axis_] = size;
      types.push_back(type_like(like_, dims, layout_));
    }
    return types;
  }
  std::optional<std::size_t> offset_in_operand(std::size_t output) const override {
    return layout_ == Layout::kMap ? std::nullopt : Parts(whole_.dims, axis_, sizes_).offset(output, whole_.type);
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    if (layout_ == Layout::kPlain)
      return std::make_unique<PlainParts>(Parts(whole_.dims, axis_, sizes_), bytes_of(whole_.type), false, members);
    const ValueType in = inputs[0];
    const auto rows = [in, outputs](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap x = at.input_bytes(0, in);
      std::size_t channel = 0;
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const ByteMap y = at.output_bytes(i, outputs[i]);
        for (std::size_t line = first; line < end; ++line)
          copy_channels(x, channel, y, 0, y.shape.c, line / y.shape.h, signed_size(line % y.shape.h));
        clear_padding(y, outputs[i].zero_point(), first, end);
        channel += y.shape.c;
      }
    };
    return make_row_step(in.map(), members, std::nullopt, 1, rows);
  }

 private:
  Source like_;
  TensorType whole_;
  std::size_t axis_ = 0;
  std::vector<std::size_t> sizes_;
  Layout layout_ = Layout::kPlain;
};

// ---- pad ---------------------------------------------------------------------------------------------------------

class PadStep final : public Step {
 public:
  PadStep(const TensorType& in, const Dims& out, AxisSources sources, double value, std::size_t members)
      : Step({elements_of(out) / out.back(), members, 2 * bytes_size(elements_of(out) * bytes_of(in.type))}),
        in_(in),
        out_(out),
        strides_(strides_of(in.dims)),
        sources_(std::move(sources)),
        value_(value) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    switch (in_.type) {
      case Dtype::kFloat32:
        return fill(at, items, static_cast<float>(value_));
      case Dtype::kInt32:
        return fill(at, items, static_cast<std::int32_t>(value_));
      case Dtype::kInt64:
        return fill(at, items, static_cast<std::int64_t>(value_));
      default:
        return fill(at, items, static_cast<std::uint8_t>(static_cast<std::int64_t>(value_)));
    }
  }

  template <class T>
  void fill(const Operands& at, const Tile& items, T value) const {
    const T* x = reinterpret_cast<const T*>(at.inputs[0]);
    T* y = reinterpret_cast<T*>(at.outputs[0]) + items.first * out_.back();
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      std::size_t rest = line, offset = 0;
      bool inside = true;
      for (std::size_t axis = out_.size() - 1; axis-- > 0;) {
        const std::size_t source = sources_[axis][rest % out_[axis]];
        rest /= out_[axis];
        inside &= source != kOutside;
        offset += source * static_cast<std::size_t>(strides_[axis]);
      }
      for (std::size_t source : sources_.back()) *y++ = inside && source != kOutside ? x[offset + source] : value;
    }
  }

  TensorType in_;
  Dims out_;
  Strides strides_;
  AxisSources sources_;
  double value_;
};

class PadOp final : public Op {
 public:
  explicit PadOp(const OpContext& context) {
    context.expect_inputs(1, 1);
    in_ = context.inputs[0].tensor;
    const Attributes& attributes = context.attributes();
    value_ = attributes.number("value", 0);
    pads_ = read_pads(context);
  }
  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {{{in_.type, pads_.dims}, Layout::kPlain, 0}}; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return std::make_unique<PadStep>(in_, pads_.dims, pads_.sources(), value_, members);
  }

 private:
  TensorType in_;
  double value_ = 0;
  Pads pads_;
};

}  // namespace

std::unique_ptr<Op> make_concat(const OpContext& context) { return std::make_unique<ConcatOp>(context); }
std::unique_ptr<Op> make_split(const OpContext& context) { return std::make_unique<SplitOp>(context); }
std::unique_ptr<Op> make_pad(const OpContext& context) {
  if (context.inputs.size() == 1 && context.inputs[0].dims().empty())
    fail(code::kShape, "expected an operand of at least one dim");
  if (context.inputs.size() == 1 && context.inputs[0].quantization) {
    if (context.attributes().number("value", 0) != 0)
      fail(code::kInvalidArg, "expected integers to be padded with zero, received ",
           context.attributes().number("value"));
    return make_integer_move(context, read_pads(context).sources());
  }
  return std::make_unique<PadOp>(context);
}

}  // namespace qarepvgg
