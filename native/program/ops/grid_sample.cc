// gridSample: [x, grid]; mode nearest, linear or cubic; padding zeros, border or reflection; alignCorners. Pixels of
// images [n, c, h, w] at the places that a grid [n, h', w', 2] names, as (x, y) from -1 to 1. On maps, and on plain
// tensors where a map would be mostly padding.
#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "program/ops/image_parts.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

enum class Mode { kNearest, kLinear, kCubic };
enum class Padding { kZeros, kBorder, kReflection };

// One axis of the images.
struct Axis {
  std::size_t length;
  bool align_corners;

  float last() const { return static_cast<float>(length - 1); }
  // The borders that a reflection mirrors at: the middles of the outermost pixels, or their outer edges.
  float low() const { return align_corners ? 0.0f : -0.5f; }
  float high() const { return align_corners ? last() : last() + 0.5f; }
  float place(float at) const {
    return align_corners ? (at + 1) / 2 * last() : ((at + 1) * static_cast<float>(length) - 1) / 2;
  }
  float reflected(float at) const {
    const float range = high() - low();
    if (at >= low() && at <= high()) return at;
    if (!(range > 0)) return low();
    const float past = at < low() ? low() - at : at - high();
    const float turns = std::floor(past / range), rest = past - turns * range;
    const bool is_even = std::fmod(turns, 2.0f) == 0;
    return is_even == (at < low()) ? low() + rest : high() - rest;
  }
};

struct Rule {
  Mode mode;
  Padding padding;
  Axis x, y;
};

// The index of a pixel; -1 if it counts as zero. Also for numbers that are not finite.
std::ptrdiff_t pixel_at(const Axis& axis, Padding padding, float at) {
  if (padding == Padding::kReflection) at = std::trunc(axis.reflected(at));
  const std::ptrdiff_t last = signed_size(axis.length) - 1;
  // Past 2^24 pixels, the last one as a float may be rounded up.
  if (at >= 0 && at <= axis.last()) return std::min(static_cast<std::ptrdiff_t>(at), last);
  if (padding == Padding::kZeros) return -1;
  return at > 0 ? last : 0;
}

// The baseline has no instruction for it. Numbers of that size are whole.
float floor_of(float x) {
  if (!(std::fabs(x) < 0x1p23f)) return x;
  const float whole = static_cast<float>(static_cast<std::int32_t>(x));
  return whole > x ? whole - 1 : whole;
}

struct Taps {
  std::size_t count = 0;
  std::ptrdiff_t index[4];
  float weight[4];

  void add(std::ptrdiff_t pixel, float factor) {
    index[count] = pixel;
    weight[count++] = factor;
  }
};

// Keys' kernel with a = -0.75, for the four pixels around.
void cubic_weights(float t, float weights[4]) {
  constexpr float a = -0.75f;
  const auto outer = [](float d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const auto inner = [](float d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  weights[0] = outer(t + 1);
  weights[1] = inner(t);
  weights[2] = inner(1 - t);
  weights[3] = outer(2 - t);
}

// As in PyTorch and onnxruntime, a place past the borders moves before its neighbors do, but for cubic ones at a
// border.
Taps taps_along(const Axis& axis, const Rule& rule, float named) {
  float at = axis.place(named);
  if (rule.mode == Mode::kNearest) at = std::nearbyint(at);
  if (!(at >= axis.low() && at <= axis.high())) {
    if (rule.padding == Padding::kBorder && rule.mode != Mode::kCubic)
      at = std::isnan(at) ? 0.0f : std::clamp(at, 0.0f, axis.last());
    if (rule.padding == Padding::kReflection) at = axis.reflected(at);
  }
  Taps taps;
  if (rule.mode == Mode::kNearest) {
    taps.add(pixel_at(axis, rule.padding, at), 1.0f);
    return taps;
  }
  const float low = floor_of(at), t = at - low;
  if (rule.mode == Mode::kLinear) {
    taps.add(pixel_at(axis, rule.padding, low), 1 - t);
    taps.add(pixel_at(axis, rule.padding, low + 1), t);
    return taps;
  }
  float weights[4];
  cubic_weights(t, weights);
  for (int i = 0; i < 4; ++i) taps.add(pixel_at(axis, rule.padding, low + static_cast<float>(i - 1)), weights[i]);
  return taps;
}

// An item is a line of an output image.
class GridSampleStep : public Step {
 public:
  GridSampleStep(const Rule& rule, const Dims& x, const Dims& grid, std::size_t members)
      : Step({grid[0] * grid[1], members, 8 * bytes_size(grid[0] * grid[1] * grid[2] * x[1] * sizeof(float))}),
        rule_(rule),
        channels_(x[1]),
        height_(grid[1]),
        width_(grid[2]) {}

 protected:
  // The pixels that one of the output is mixed from.
  struct Mix {
    std::size_t count = 0;
    std::ptrdiff_t offsets[16];
    float weights[16];
  };

  std::size_t channels() const { return channels_; }
  std::size_t height() const { return height_; }
  std::size_t width() const { return width_; }
  std::size_t row_length() const { return rule_.x.length; }
  std::size_t plane() const { return rule_.x.length * rule_.y.length; }
  // Calls visit(column, mix) for each pixel of a line. row, pixel: distances in the images.
  template <class Visit>
  void for_each_pixel(const Operands& at, std::size_t line, std::size_t row, std::size_t pixel,
                      const Visit& visit) const {
    const float* place = at.input(1) + line * width_ * 2;
    for (std::size_t i = 0; i < width_; ++i, place += 2) {
      const Taps rows = taps_along(rule_.y, rule_, place[1]), columns = taps_along(rule_.x, rule_, place[0]);
      Mix mix;
      for (std::size_t r = 0; r < rows.count; ++r)
        for (std::size_t c = 0; c < columns.count; ++c) {
          if (rows.index[r] < 0 || columns.index[c] < 0) continue;
          mix.offsets[mix.count] = rows.index[r] * signed_size(row) + columns.index[c] * signed_size(pixel);
          mix.weights[mix.count++] = rows.weight[r] * columns.weight[c];
        }
      visit(i, mix);
    }
  }

 private:
  Rule rule_;
  std::size_t channels_, height_, width_;
};

class PlainStep final : public GridSampleStep {
  using GridSampleStep::GridSampleStep;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      const std::size_t image = line / height();
      const float* x = at.input(0) + image * channels() * plane();
      float* y = at.output() + (image * channels() * height() + line % height()) * width();
      for_each_pixel(at, line, row_length(), 1, [&](std::size_t i, const Mix& mix) {
        for (std::size_t c = 0; c < channels(); ++c) {
          const float* from = x + c * plane();
          float sum = 0;
          for (std::size_t k = 0; k < mix.count; ++k) sum += from[mix.offsets[k]] * mix.weights[k];
          y[c * height() * width() + i] = sum;
        }
      });
    }
  }
};

class MapStep final : public GridSampleStep {
 public:
  MapStep(const Rule& rule, const MapShape& in, const MapShape& out, const Dims& x, const Dims& grid,
          std::size_t members)
      : GridSampleStep(rule, x, grid, members), in_(in), out_(out) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const FeatureMap in = at.input_map(0, in_), out = at.output_map(out_);
    const KernelTable& kernels = active_kernels();
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      const float* x = in.at(line / height(), 0, 0);
      float* y = out.at(line / height(), signed_size(line % height()), 0);
      for_each_pixel(at, line, in.row(), in.pixel(), [&](std::size_t i, const Mix& mix) {
        kernels.mix(x, mix.offsets, mix.weights, mix.count, out.pixel(), y + i * out.pixel());
      });
    }
  }

  MapShape in_, out_;
};

class GridSampleOp final : public Op {
 public:
  explicit GridSampleOp(const OpContext& context) {
    context.expect_inputs(2, 2);
    x_ = context.floats(0).dims();
    grid_ = context.floats(1).dims();
    if (x_.size() != 4 || grid_.size() != 4 || grid_[3] != 2 || grid_[0] != x_[0] || x_[2] * x_[3] == 0)
      fail(code::kShape, "expected images [n, c, h, w] and a grid [n, h, w, 2], received ", text_of(x_), " and ",
           text_of(grid_));
    const Attributes& a = context.attributes();
    const bool align = a.flag("alignCorners");
    rule_ = {mode_of(a.text("mode")), padding_of(a.text("padding")), {x_[3], align}, {x_[2], align}};
  }
  Access access(std::size_t input) const override { return input == 0 && on_maps() ? Access::kMap : Access::kPlain; }
  std::vector<ValueType> outputs() const override {
    const Dims dims{x_[0], x_[1], grid_[1], grid_[2]};
    return {{{Dtype::kFloat32, dims}, on_maps() ? Layout::kMap : Layout::kPlain}};
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    if (!on_maps()) return std::make_unique<PlainStep>(rule_, x_, grid_, members);
    return std::make_unique<MapStep>(rule_, inputs[0].map(), outputs[0].map(), x_, grid_, members);
  }

 private:
  // Half of the lanes of a pixel.
  bool on_maps() const { return x_[1] >= kAlignedFloats / 2; }
  static Mode mode_of(const std::string& name) {
    if (name == "nearest") return Mode::kNearest;
    if (name == "linear") return Mode::kLinear;
    if (name == "cubic") return Mode::kCubic;
    fail(code::kInvalidArg, "expected mode nearest, linear or cubic, received '", name, "'");
  }
  static Padding padding_of(const std::string& name) {
    if (name == "zeros") return Padding::kZeros;
    if (name == "border") return Padding::kBorder;
    if (name == "reflection") return Padding::kReflection;
    fail(code::kInvalidArg, "expected padding zeros, border or reflection, received '", name, "'");
  }

  Dims x_, grid_;
  Rule rule_{};
};

}  // namespace

std::unique_ptr<Op> make_grid_sample(const OpContext& context) { return std::make_unique<GridSampleOp>(context); }

}  // namespace qarepvgg
