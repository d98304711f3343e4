// transpose: [x]; perm: axis i of the output is axis perm[i] of x; dims, as which x is seen (default: its own). Where
// channels come last on one side, they are copied pixel by pixel from a map or to a map.
#include <algorithm>
#include <cstring>

#include "program/ops/copy.h"
#include "program/ops/map_step.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kChannels = 1;

// An axis of a walk over a map: every `step`-th index of an axis of the image.
struct ImageAxis {
  std::size_t length, axis, step;
};

// Appends an axis with a stride in the elements of an image, row-major, as axes of the image. False if it is none.
bool append(std::size_t length, std::size_t stride, const Dims& image, std::vector<ImageAxis>& axes) {
  if (length == 1) return true;
  std::size_t unit = elements_of(image);
  for (std::size_t axis = 0; axis < image.size(); ++axis) {
    unit /= image[axis];
    const std::size_t step = stride / unit;
    if (stride % unit != 0 || step == 0 || step >= image[axis]) continue;
    const std::size_t inner = std::min(length, image[axis] / step);
    // It may go on along the axis before.
    if (length % inner != 0 || (inner < length && image[axis] % step != 0)) return false;
    if (!append(length / inner, image[axis] * unit, image, axes)) return false;
    axes.push_back({inner, axis, step});
    return true;
  }
  return false;
}

// The walk over a map; empty unless pixels are copied as a whole.
std::vector<ImageAxis> walk_over(const Source& x, const Dims& dims, const Strides& strides) {
  std::vector<ImageAxis> axes;
  const bool is_map = x.layout == Layout::kMap && x.tensor.type == Dtype::kFloat32 && !x.quantization;
  if (!is_map || x.tensor.elements() == 0) return {};
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (!append(dims[i], static_cast<std::size_t>(strides[i]), x.dims(), axes)) return {};
  const bool by_pixels = !axes.empty() && axes.back().axis == kChannels && axes.back().step == 1;
  return by_pixels ? axes : std::vector<ImageAxis>{};
}

class TransposeOp final : public Op {
 public:
  TransposeOp(const Source& x, Dims dims, Strides strides, Layout wanted)
      : result_{x.tensor.type, std::move(dims)},
        strides_(std::move(strides)),
        walk_(walk_over(x, result_.dims, strides_)) {
    if (wanted == Layout::kMap && may_be_map()) layout_ = Layout::kMap;
  }

  Access access(std::size_t) const override { return walk_.empty() ? Access::kPlain : Access::kMap; }
  std::vector<ValueType> outputs() const override { return {{result_, layout_, 0}}; }
  bool may_be_map() const override {
    return walk_.empty() && result_.type == Dtype::kFloat32 && result_.dims.size() == 4 && result_.elements() > 0 &&
           strides_[kChannels] == 1;
  }
  std::optional<std::size_t> offset_in_operand(std::size_t) const override {
    if (!walk_.empty() || !StridedLoop(result_.dims, {strides_, strides_of(result_.dims)}).is_dense(0))
      return std::nullopt;
    return 0;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    if (layout_ == Layout::kMap) return to_map(outputs[0].map(), members);
    if (walk_.empty()) return make_strided_copy(result_.dims, strides_, 0, bytes_of(result_.type), members);
    return from_map(inputs[0].map(), members);
  }

 private:
  std::unique_ptr<Step> from_map(const MapShape& map, std::size_t members) const {
    const std::size_t steps[]{map.image(), 1, map.row(), map.pixel()};
    Dims dims;
    Strides strides;
    for (const ImageAxis& axis : walk_) {
      dims.push_back(axis.length);
      strides.push_back(signed_size(axis.step * steps[axis.axis]));
    }
    const std::size_t first = map.halo * (map.row() + map.pixel());
    return make_strided_copy(dims, strides, signed_size(first), sizeof(float), members);
  }

  std::unique_ptr<Step> to_map(const MapShape& map, std::size_t members) const {
    const auto rows = [map, strides = strides_](const Operands& at, std::size_t first, std::size_t end) {
      const FeatureMap y = at.output_map(map);
      for (std::size_t line = first; line < end; ++line) {
        const std::ptrdiff_t row = signed_size(line % map.h);
        const float* from = at.input(0) + signed_size(line / map.h) * strides[0] + row * strides[2];
        float* to = y.at(line / map.h, row, 0);
        for (std::size_t i = 0; i < map.w; ++i, from += strides[3], to += map.pixel())
          std::memcpy(to, from, map.c * sizeof(float));
      }
      clear_padding(y, first, end);
    };
    return make_row_step(map, members, std::nullopt, 1, rows);
  }

  TensorType result_;
  Strides strides_;  // in x, of the output's axes
  std::vector<ImageAxis> walk_;
  Layout layout_ = Layout::kPlain;
};

}  // namespace

std::unique_ptr<Op> make_transpose(const OpContext& context) {
  context.expect_inputs(1, 1);
  const Source& x = context.inputs[0];
  const Attributes& attributes = context.attributes();
  const Dims seen = attributes.has("dims") ? attributes.sizes("dims") : x.dims();
  if (elements_of(seen) != x.tensor.elements())
    fail(code::kShape, "expected dims of ", x.tensor.elements(), " elements, received ", text_of(seen));
  const auto perm = attributes.sizes("perm");
  if (perm.size() != seen.size())
    fail(code::kInvalidArg, "expected an axis for each of ", seen.size(), " dims, received ", perm.size());
  const Strides own = strides_of(seen);
  std::vector<bool> named(perm.size(), false);
  Dims dims;
  Strides strides;
  for (std::size_t axis : perm) {
    if (axis >= perm.size() || named[axis]) fail(code::kInvalidArg, "expected perm to name each axis once");
    named[axis] = true;
    dims.push_back(seen[axis]);
    strides.push_back(own[axis]);
  }
  return std::make_unique<TransposeOp>(x, std::move(dims), std::move(strides), context.wanted);
}

}  // namespace qarepvgg
