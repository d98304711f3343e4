#include "program/ops/map_binary.h"

#include "kernels/dispatch.h"
#include "program/ops/image_parts.h"
#include "program/ops/map_step.h"

namespace qarepvgg {
namespace {

class MapBinary final : public Op {
 public:
  // `map` is the index of the operand with the dims of the output; the other one has that form.
  MapBinary(const OpContext& context, Binary kind, std::size_t map, Beside form)
      : kind_(kind), map_(map), form_(form), activation_(activation_of(context.attributes())) {
    const Dims& dims = context.inputs[map].dims();
    shape_ = {dims[0], dims[1], dims[2], dims[3]};
    other_ = context.inputs[1 - map].floats();
  }
  Access access(std::size_t input) const override {
    return input == map_ || form_ == Beside::kMap || form_ == Beside::kPixel ? Access::kMap : Access::kNone;
  }
  std::vector<ValueType> outputs() const override { return {float_map(shape_)}; }
  bool applies_activation() const override { return true; }
  std::size_t weight_bytes() const override {
    return form_ == Beside::kNumber || form_ == Beside::kChannels ? shape_.pixel() * sizeof(float) : 0;
  }
  // One number per lane. Padding lanes get 1, which can be a divisor.
  void pack(std::byte* packed, int) override {
    if (weight_bytes() == 0) return;
    weights_ = reinterpret_cast<float*>(packed);
    for (std::size_t c = 0; c < shape_.pixel(); ++c)
      weights_[c] = c >= shape_.c ? 1.0f : form_ == Beside::kNumber ? other_[0] : other_[c];
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape out = outputs[0].map();
    MapShape shapes[2];
    for (std::size_t i : {0u, 1u})
      if (access(i) == Access::kMap) shapes[i] = inputs[i].map();
    const auto rows = [this, out, shapes](const Operands& at, std::size_t first, std::size_t end) {
      const FeatureMap y = at.output_map(out), x = at.input_map(map_, shapes[map_]);
      for (std::size_t line = first; line < end; ++line)
        run_row(at, x, shapes[1 - map_], y, line / out.h, signed_size(line % out.h));
      clear_padding(y, first, end);
    };
    return make_row_step(out, members, activation_, 1, rows);
  }

 private:
  void run_row(const Operands& at, const FeatureMap& x, const MapShape& other, const FeatureMap& y, std::size_t image,
               std::ptrdiff_t row) const {
    const std::size_t pixel = y.shape.pixel(), width = y.shape.w;
    const float* from = x.at(image, row, 0);
    float* to = y.at(image, row, 0);
    const auto combine = [&](const float* p, const float* q, std::size_t count, float* result) {
      if (map_ == 1) std::swap(p, q);
      active_kernels().tensor->binary(kind_, p, false, q, false, count, result);
    };
    if (form_ == Beside::kMap) {
      combine(from, at.input_map(1 - map_, other).at(image, row, 0), width * pixel, to);
      return;
    }
    const float* channels =
        form_ == Beside::kPixel ? at.input_map(1 - map_, other).at(other.n == 1 ? 0 : image, 0, 0) : weights_;
    for (std::size_t i = 0; i < width; ++i) combine(from + i * pixel, channels, pixel, to + i * pixel);
  }

  Binary kind_;
  std::size_t map_;
  Beside form_;
  std::optional<UnaryFunction> activation_;
  MapShape shape_;
  const float* other_;
  float* weights_ = nullptr;
};

}  // namespace

std::optional<Beside> beside_map(const Dims& map, const Source& other) {
  const Dims& dims = other.dims();
  if (other.constant == nullptr) {
    if (dims == map) return Beside::kMap;
    const bool pixel =
        dims.size() == 4 && (dims[0] == 1 || dims[0] == map[0]) && dims[1] == map[1] && dims[2] == 1 && dims[3] == 1;
    return pixel ? std::optional(Beside::kPixel) : std::nullopt;
  }
  if (other.tensor.elements() == 1) return Beside::kNumber;
  if (dims.size() != 3 && !(dims.size() == 4 && dims[0] == 1)) return std::nullopt;
  const std::size_t first = dims.size() - 3;
  const bool per_channel = dims[first] == map[1] && dims[first + 1] == 1 && dims[first + 2] == 1;
  return per_channel ? std::optional(Beside::kChannels) : std::nullopt;
}

std::unique_ptr<Op> make_map_binary(const OpContext& context, Binary kind) {
  for (const Source& source : context.inputs)
    if (source.tensor.type != Dtype::kFloat32) return nullptr;
  for (std::size_t map : {0u, 1u}) {
    const Source &whole = context.inputs[map], &other = context.inputs[1 - map];
    if (whole.constant != nullptr || whole.layout != Layout::kMap || whole.dims().size() != 4) continue;
    const std::optional<Beside> form = beside_map(whole.dims(), other);
    if (form && (*form != Beside::kPixel || other.layout == Layout::kMap))
      return std::make_unique<MapBinary>(context, kind, map, *form);
  }
  return nullptr;
}

}  // namespace qarepvgg
