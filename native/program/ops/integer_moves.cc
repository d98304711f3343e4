#include "program/ops/integer_moves.h"

#include <algorithm>
#include <cstring>

#include "program/ops/image_parts.h"
#include "program/ops/map_step.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// Whether indices are consecutive and none is outside.
bool is_range(const std::vector<std::size_t>& indices) {
  for (std::size_t i = 0; i < indices.size(); ++i)
    if (indices[i] == kOutside || indices[i] != indices[0] + i) return false;
  return true;
}

class IntegerMove final : public Op {
 public:
  IntegerMove(const OpContext& context, AxisSources sources)
      : in_(read_image(context, Dtype::kUint8)),
        quantization_(*context.inputs[0].quantization),
        sources_(std::move(sources)),
        whole_pixels_(is_range(sources_[1]) && in_.c == sources_[1].size()),
        channel_range_(is_range(sources_[1])) {
    out_ = {sources_[0].size(), sources_[1].size(), sources_[2].size(), sources_[3].size()};
    if (out_.elements() == 0)
      fail(code::kShape, "expected a result of at least one element of each axis, received none");
  }
  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {integer_map(out_, quantization_)}; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const ValueType in = inputs[0], out = outputs[0];
    const auto rows = [this, in, out](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap x = at.input_bytes(0, in), y = at.output_bytes(0, out);
      for (std::size_t line = first; line < end; ++line) run_row(x, y, line / y.shape.h, line % y.shape.h);
      clear_padding(y, out.zero_point(), first, end);
    };
    return make_row_step(out.map(), members, std::nullopt, 1, rows);
  }

 private:
  void run_row(const ByteMap& x, const ByteMap& y, std::size_t image, std::size_t row) const {
    const std::size_t from_image = sources_[0][image], from_row = sources_[2][row];
    std::byte* to = y.at(image, signed_size(row), 0);
    const std::uint8_t zero = quantization_.zero_point();
    if (from_image == kOutside || from_row == kOutside)
      return fill_elements(to, y.shape.w * y.shape.pixel(), y.element, zero);
    for (std::size_t column : sources_[3]) {
      if (column == kOutside)
        fill_elements(to, y.shape.pixel(), y.element, zero);
      else
        copy_pixel(x.at(from_image, signed_size(from_row), signed_size(column)), to, y.element, y.pixel());
      to += y.pixel();
    }
  }

  void copy_pixel(const std::byte* from, std::byte* to, std::size_t element, std::size_t bytes) const {
    if (whole_pixels_) {
      std::memcpy(to, from, bytes);
    } else if (channel_range_) {
      std::memcpy(to, from + sources_[1][0] * element, out_.c * element);
    } else {
      for (std::size_t channel : sources_[1]) {
        if (channel == kOutside)
          fill_elements(to, 1, element, quantization_.zero_point());
        else
          std::memcpy(to, from + channel * element, element);
        to += element;
      }
    }
  }

  MapShape in_, out_;
  Quantization quantization_;
  AxisSources sources_;
  bool whole_pixels_, channel_range_;
};

std::size_t source_of(Pads::Mode mode, std::size_t index, std::size_t before, std::size_t length) {
  const std::ptrdiff_t at = signed_size(index) - signed_size(before), last = signed_size(length) - 1;
  if (at >= 0 && at <= last) return static_cast<std::size_t>(at);
  if (mode == Pads::Mode::kConstant) return kOutside;
  if (mode == Pads::Mode::kEdge) return at < 0 ? 0 : static_cast<std::size_t>(last);
  return static_cast<std::size_t>(at < 0 ? -at : 2 * last - at);
}

}  // namespace

std::unique_ptr<Op> make_integer_move(const OpContext& context, AxisSources sources) {
  return std::make_unique<IntegerMove>(context, std::move(sources));
}

AxisSources Pads::sources() const {
  AxisSources sources;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    sources.emplace_back();
    for (std::size_t i = 0; i < dims[axis]; ++i) sources.back().push_back(source_of(mode, i, before[axis], in[axis]));
  }
  return sources;
}

Pads read_pads(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const std::string& mode = attributes.text("mode");
  if (mode != "constant" && mode != "edge" && mode != "reflect")
    fail(code::kInvalidArg, "expected mode constant, edge or reflect, received '", mode, "'");
  Pads pads;
  pads.mode = mode == "constant" ? Pads::Mode::kConstant : mode == "edge" ? Pads::Mode::kEdge : Pads::Mode::kReflect;
  pads.in = context.inputs.at(0).dims();
  pads.before = attributes.sizes("before", pads.in.size());
  const auto after = attributes.sizes("after", pads.in.size());
  for (std::size_t i = 0; i < pads.in.size(); ++i) {
    const std::size_t length = pads.in[i], most = std::max(pads.before[i], after[i]);
    if ((pads.mode == Pads::Mode::kReflect && most > 0 && most >= length) ||
        (pads.mode == Pads::Mode::kEdge && length == 0 && most > 0))
      fail(code::kShape, "expected pads smaller than axis ", i, " of ", length, ", received ", most);
    pads.dims.push_back(checked_add(length, checked_add(pads.before[i], after[i])));
  }
  elements_of(pads.dims);
  return pads;
}

}  // namespace qarepvgg
