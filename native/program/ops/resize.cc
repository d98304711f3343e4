// resize: [x]; mode nearest, linear or cubic; dims of the output; scales, one for each axis; coordinateMode,
// nearestMode, cubicCoeff, excludeOutside, antialias, extrapolation, and for tf_crop_and_resize roi [starts...,
// ends...], as in ONNX. A map of integers takes mode nearest only.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "kernels/dispatch.h"
#include "program/ops/dispatch_type.h"
#include "program/ops/integer_moves.h"
#include "program/ops/map_step.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

struct Tap {
  std::size_t index;
  float weight;
};

constexpr std::size_t kMaxRank = 8;

// The taps of one index of the output along one axis; empty if it has the value of the outside.
using Taps = std::vector<Tap>;

struct Rule {
  std::string mode, coordinate_mode, nearest_mode;
  double cubic;
  bool exclude_outside, antialias;
};

// The place in the input, with the operations of onnxruntime in their order: in float32, so that a scale such as 1/3
// leads to the same pixels. Where that computes in double, so does this.
float coordinate(const std::string& mode, float index, float scale, float in, float out, float start, float end) {
  if (mode == "asymmetric") return index / scale;
  if (mode == "align_corners") return out > 1 ? index * (in - 1) / (out - 1) : 0;
  if (mode == "half_pixel") return (index + 0.5f) / scale - 0.5f;
  if (mode == "pytorch_half_pixel") return out > 1 ? (index + 0.5f) / scale - 0.5f : 0;
  if (mode == "half_pixel_symmetric") {
    const float offset = in / 2 * (1 - out / (scale * in));
    return static_cast<float>(offset + (index + 0.5) / scale - 0.5);
  }
  if (mode == "tf_half_pixel_for_nn") return (index + 0.5f) / scale;
  if (mode == "tf_crop_and_resize")
    return out > 1 ? start * (in - 1) + index * (end - start) * (in - 1) / (out - 1)
                   : static_cast<float>(0.5 * (start + end) * (in - 1));
  fail(code::kInvalidArg, "expected a coordinate mode of ONNX, received '", mode, "'");
}

// As in onnxruntime, what is this close to the middle between two pixels counts as the middle: the rounding of the
// coordinate decides nothing.
constexpr float kMiddle = 1e-6f;

float nearest(const std::string& mode, float x) {
  const float low = std::floor(x), past = x - low - 0.5f;
  if (mode == "floor") return low;
  if (mode == "ceil") return std::ceil(x);
  if (mode == "round_prefer_floor") return past > kMiddle ? low + 1 : low;
  if (mode == "round_prefer_ceil") return past < -kMiddle ? low : low + 1;
  fail(code::kInvalidArg, "expected a nearest mode of ONNX, received '", mode, "'");
}

// Keys' kernel, with its parameter a.
double cubic_weight(double a, double distance) {
  const double d = std::fabs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

// The filter of the mode is stretched over the pixels that one of the output covers. Taps outside of the image have the
// value of its edge.
Taps antialiased_taps(const Rule& rule, float x, float scale, std::size_t length) {
  const double stretch = std::max(1.0, 1.0 / static_cast<double>(scale)), last = static_cast<double>(length - 1);
  const double reach = rule.mode == "linear" ? stretch : 2 * stretch;
  std::vector<std::pair<std::size_t, double>> weights;
  double sum = 0;
  for (double at = std::ceil(x - reach); at <= x + reach; ++at) {
    const double distance = (at - x) / stretch, inside = std::clamp(at, 0.0, last);
    if (rule.exclude_outside && at != inside) continue;
    const double weight =
        rule.mode == "linear" ? std::max(0.0, 1 - std::fabs(distance)) : cubic_weight(rule.cubic, distance);
    const auto index = static_cast<std::size_t>(inside);
    if (weights.empty() || weights.back().first != index) weights.emplace_back(index, 0);
    weights.back().second += weight;
    sum += weight;
  }
  Taps taps;
  for (const auto& [index, weight] : weights) taps.push_back({index, static_cast<float>(weight / sum)});
  return taps;
}

Taps taps_at(const Rule& rule, float x, float scale, std::size_t length) {
  const std::ptrdiff_t last = signed_size(length) - 1;
  const auto clamped = [last](double at) {
    return static_cast<std::size_t>(std::clamp(at, 0.0, static_cast<double>(last)));
  };
  if (rule.mode == "nearest") return {{clamped(nearest(rule.nearest_mode, x)), 1.0f}};
  if (rule.antialias) return antialiased_taps(rule, x, scale, length);
  const double low = std::floor(x);
  if (rule.mode == "linear") {
    const double t = x - low;
    const std::size_t a = clamped(low), b = clamped(low + 1);
    if (t == 0 || a == b) return {{a, 1.0f}};
    return {{a, static_cast<float>(1 - t)}, {b, static_cast<float>(t)}};
  }
  Taps taps;
  double sum = 0;
  for (int i = -1; i <= 2; ++i) {
    const double at = low + i;
    double weight = cubic_weight(rule.cubic, x - at);
    if (rule.exclude_outside && (at < 0 || at > static_cast<double>(last))) weight = 0;
    sum += weight;
    taps.push_back({clamped(at), static_cast<float>(weight)});
  }
  if (rule.exclude_outside)
    for (Tap& tap : taps) tap.weight = static_cast<float>(tap.weight / sum);
  return taps;
}

class ResizeOp final : public Op {
 public:
  explicit ResizeOp(const OpContext& context) : activation_(activation_of(context.attributes())) {
    context.expect_inputs(1, 1);
    const Attributes& a = context.attributes();
    const Source& x = context.inputs[0];
    in_ = x.tensor;
    const std::size_t rank = in_.dims.size();
    const Rule rule{a.text("mode"),           a.text("coordinateMode"),
                    a.text("nearestMode"),    a.number("cubicCoeff", -0.75),
                    a.flag("excludeOutside"), a.flag("antialias")};
    if (rule.mode != "nearest" && rule.mode != "linear" && rule.mode != "cubic")
      fail(code::kInvalidArg, "expected mode nearest, linear or cubic, received '", rule.mode, "'");
    if (rule.mode != "nearest") context.floats(0);
    out_ = a.sizes("dims", rank);
    const auto& scales = a.numbers("scales");
    const bool crops = rule.coordinate_mode == "tf_crop_and_resize";
    const std::vector<double> roi = crops ? a.numbers("roi") : std::vector<double>(2 * rank, 0.0);
    if (scales.size() != rank || roi.size() != 2 * rank) fail(code::kInvalidArg, "expected a scale for each axis");
    extrapolation_ = static_cast<float>(a.number("extrapolation", 0));
    if (rank > kMaxRank) fail(code::kShape, "expected at most ", kMaxRank, " dims, received ", rank);
    if (rank == 0 || in_.elements() == 0 || elements_of(out_) == 0)
      fail(code::kShape, "expected dims of at least 1, received ", text_of(in_.dims), " and ", text_of(out_));
    for (std::size_t axis = 0; axis < rank; ++axis) {
      if (!(scales[axis] > 0)) fail(code::kInvalidArg, "expected scales above 0, received ", scales[axis]);
      taps_.emplace_back();
      const std::size_t length = in_.dims[axis];
      const auto scale = static_cast<float>(scales[axis]);
      const bool moves = scale != 1 || length != out_[axis] || crops;
      for (std::size_t i = 0; i < out_[axis]; ++i) {
        if (!moves) {
          taps_.back().push_back({{i, 1.0f}});
          continue;
        }
        const float at = coordinate(rule.coordinate_mode, static_cast<float>(i), scale, static_cast<float>(length),
                                    static_cast<float>(out_[axis]), static_cast<float>(roi[axis]),
                                    static_cast<float>(roi[rank + axis]));
        if (crops && (at < 0 || at > static_cast<float>(length - 1))) {
          taps_.back().emplace_back();
          has_outside_ = true;
        } else {
          taps_.back().push_back(taps_at(rule, at, scale, length));
        }
      }
    }
    const bool spatial = rank == 4 && in_.dims[0] == out_[0] && in_.dims[1] == out_[1] && !has_outside_;
    layout_ = spatial && in_.type == Dtype::kFloat32 && x.layout == Layout::kMap ? Layout::kMap : Layout::kPlain;
  }
  Access access(std::size_t) const override { return layout_ == Layout::kMap ? Access::kMap : Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {{{in_.type, out_}, layout_, 0}}; }
  bool applies_activation() const override { return layout_ == Layout::kMap; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override;

  const TensorType& in() const { return in_; }
  const Dims& out() const { return out_; }
  const std::vector<Taps>& taps(std::size_t axis) const { return taps_[axis]; }
  // For mode nearest.
  AxisSources sources() const {
    if (has_outside_) fail(code::kModelIncompatible, "expected to show nothing outside of integers");
    AxisSources sources(taps_.size());
    for (std::size_t axis = 0; axis < taps_.size(); ++axis)
      for (const Taps& taps : taps_[axis]) sources[axis].push_back(taps[0].index);
    return sources;
  }
  float extrapolation() const { return extrapolation_; }
  bool has_outside() const { return has_outside_; }
  const std::optional<UnaryFunction>& activation() const { return activation_; }

 private:
  std::optional<UnaryFunction> activation_;
  TensorType in_;
  Dims out_;
  std::vector<std::vector<Taps>> taps_;  // by axis, by index of the result
  float extrapolation_ = 0;
  bool has_outside_ = false;
  Layout layout_ = Layout::kPlain;
};

// First combines lines of the input by the vertical taps, then pixels of that line.
class MapResize final : public Step {
 public:
  MapResize(const ResizeOp& op, const MapShape& in, const MapShape& out, std::size_t members)
      : Step({out.n * out.h, members, 3 * map_size(out)}), op_(op), in_(in), out_(out) {}
  std::size_t scratch_bytes() const override { return in_.w * in_.pixel() * sizeof(float); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const FeatureMap x = at.input_map(0, in_), y = at.output_map(out_);
    const TensorKernels& kernels = *active_kernels().tensor;
    const std::size_t end = items.first + items.length;
    const std::size_t pixel = in_.pixel();
    const Taps* written = nullptr;  // the taps whose line is in the scratch
    std::size_t image_written = 0;
    for (std::size_t line = items.first; line < end; ++line) {
      const std::size_t image = line / out_.h;
      const Taps& rows = op_.taps(2)[line % out_.h];
      const float* from = x.at(image, signed_size(rows[0].index), 0);
      if (rows.size() > 1) {
        auto* mixed = reinterpret_cast<float*>(scratch);
        if (written != &rows || image_written != image) mix_rows(kernels, x, image, rows, mixed);
        written = &rows;
        image_written = image;
        from = mixed;
      }
      float* to = y.at(image, signed_size(line % out_.h), 0);
      for (const Taps& columns : op_.taps(3)) {
        mix(kernels, columns, pixel, to, [&](const Tap& tap) { return from + tap.index * pixel; });
        to += pixel;
      }
    }
    if (op_.activation()) apply_to_rows(*op_.activation(), y, items.first, end);
  }

  void mix_rows(const TensorKernels& kernels, const FeatureMap& x, std::size_t image, const Taps& rows,
                float* to) const {
    mix(kernels, rows, in_.w * in_.pixel(), to,
        [&](const Tap& tap) { return static_cast<const float*>(x.at(image, signed_size(tap.index), 0)); });
  }
  template <class SourceOf>
  static void mix(const TensorKernels& kernels, const Taps& taps, std::size_t count, float* to,
                  const SourceOf& source_of) {
    if (taps.size() == 1) {
      std::copy_n(source_of(taps[0]), count, to);
    } else if (taps.size() == 2) {
      kernels.lerp(source_of(taps[0]), source_of(taps[1]), taps[1].weight, count, to);
    } else {
      std::fill_n(to, count, 0.0f);
      for (const Tap& tap : taps) kernels.pixel_add({source_of(tap), 0}, 1, count, tap.weight, to, 0);
    }
  }

  const ResizeOp& op_;
  MapShape in_, out_;
};

// First combines lines of the input by the taps of all axes but the last, then the elements of that line.
class PlainResize final : public Step {
 public:
  PlainResize(const ResizeOp& op, std::size_t members)
      : Step({elements_of(op.out()) / op.out().back(), members, 4 * bytes_size(elements_of(op.out()))}),
        op_(op),
        strides_(strides_of(op.in().dims)) {
    for (const Taps& taps : op.taps(op.out().size() - 1)) {
      columns_.insert(columns_.end(), taps.begin(), taps.end());
      ends_.push_back(columns_.size());
    }
  }
  std::size_t scratch_bytes() const override { return op_.in().dims.back() * sizeof(float); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    with_type(op_.in().type, [&](auto zero) {
      using T = decltype(zero);
      const T* x = reinterpret_cast<const T*>(at.inputs[0]);
      T* y = reinterpret_cast<T*>(at.outputs[0]) + items.first * ends_.size();
      for (std::size_t line = items.first; line < items.first + items.length; ++line, y += ends_.size())
        write(line_at(x, line, reinterpret_cast<float*>(scratch)), y);
    });
  }

  // The line of the input that a line of the output is made of; null if it is outside. Only floats are mixed.
  template <class T>
  const T* line_at(const T* x, std::size_t line, float* mixed) const {
    const Taps* taps[kMaxRank];
    std::size_t lines = 1;
    for (std::size_t axis = op_.out().size() - 1; axis-- > 0; line /= op_.out()[axis]) {
      taps[axis] = &op_.taps(axis)[line % op_.out()[axis]];
      lines *= taps[axis]->size();
    }
    if (lines == 0) return nullptr;
    if constexpr (std::is_same_v<T, float>) {
      if (lines > 1) {
        std::fill_n(mixed, op_.in().dims.back(), 0.0f);
        add_lines(x, taps, 0, 1, mixed);
        return mixed;
      }
    }
    for (std::size_t axis = 0; axis + 1 < op_.out().size(); ++axis)
      x += static_cast<std::ptrdiff_t>((*taps[axis])[0].index) * strides_[axis];
    return x;
  }
  void add_lines(const float* x, const Taps* const* taps, std::size_t axis, float weight, float* mixed) const {
    if (axis + 1 == op_.out().size())
      return active_kernels().tensor->pixel_add({x, 0}, 1, op_.in().dims.back(), weight, mixed, 0);
    for (const Tap& tap : *taps[axis])
      add_lines(x + static_cast<std::ptrdiff_t>(tap.index) * strides_[axis], taps, axis + 1, weight * tap.weight,
                mixed);
  }

  template <class T>
  void write(const T* line, T* y) const {
    const T outside = static_cast<T>(op_.extrapolation());
    if (line == nullptr) {
      std::fill_n(y, ends_.size(), outside);
    } else if (columns_.size() == ends_.size() && !op_.has_outside()) {
      for (std::size_t i = 0; i < ends_.size(); ++i) y[i] = line[columns_[i].index];
    } else {
      std::size_t next = 0;
      for (std::size_t i = 0; i < ends_.size(); ++i) y[i] = mixed(line, next, ends_[i], outside);
    }
  }
  template <class T>
  T mixed(const T* line, std::size_t& next, std::size_t end, T outside) const {
    if (next == end) return outside;
    if (next + 1 == end) return line[columns_[next++].index];
    float sum = 0;
    for (; next < end; ++next) sum += columns_[next].weight * static_cast<float>(line[columns_[next].index]);
    return static_cast<T>(sum);
  }

  const ResizeOp& op_;
  Strides strides_;
  Taps columns_;  // of the last axis, one index of the output after another
  std::vector<std::size_t> ends_;
};

std::unique_ptr<Step> ResizeOp::plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                                     std::size_t members) const {
  if (layout_ == Layout::kPlain) return std::make_unique<PlainResize>(*this, members);
  return std::make_unique<MapResize>(*this, inputs[0].map(), outputs[0].map(), members);
}

}  // namespace

std::unique_ptr<Op> make_resize(const OpContext& context) {
  auto op = std::make_unique<ResizeOp>(context);
  if (context.inputs[0].quantization) return make_integer_move(context, op->sources());
  return op;
}

}  // namespace qarepvgg
