// maxPool, averagePool: [x]; kernel, strides, pads, dilations, outputSize [height, width] (which depends on ceil_mode),
// countIncludePad; maxPool also takes integers. globalPool: [x]; kind average or max.
#include "ops/pooling.h"

#include <algorithm>
#include <limits>

#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "program/ops/image_parts.h"
#include "program/ops/map_step.h"
#include "program/ops/pool_parts.h"
#include "program/ops/table.h"
#include "program/ops/window.h"
#include "program/train/trained_op.h"

namespace qarepvgg {
namespace {

MapShape image_of(const OpContext& context) {
  context.expect_inputs(1, 1);
  return read_image(context, Dtype::kFloat32);
}

// Takes the maximum of the pixels of each column first, then of columns. A column without a pixel is -infinity.
class SeparableMaxPool final : public Step {
 public:
  SeparableMaxPool(const PoolWindow& pool, const MapShape& in, const MapShape& out,
                   std::optional<UnaryFunction> activation, std::size_t members)
      : Step(
            {out.n * out.h, members, map_size(out) * static_cast<double>(pool.window.y.kernel + pool.window.x.kernel)}),
        pool_(&pool),
        in_(in),
        out_(out),
        activation_(activation) {}
  std::size_t scratch_bytes() const override { return in_.w * in_.pixel() * sizeof(float); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const FeatureMap in = at.input_map(0, in_), out = at.output_map(out_);
    const std::size_t end = items.first + items.length;
    for (std::size_t line = items.first; line < end; ++line)
      run_row(in, line / out_.h, line % out_.h, reinterpret_cast<float*>(scratch),
              out.at(line / out_.h, signed_size(line % out_.h), 0));
    if (activation_) apply_to_rows(*activation_, out, items.first, end);
  }

  void run_row(const FeatureMap& in, std::size_t image, std::size_t y, float* columns, float* row) const {
    const auto pixel_max = active_kernels().tensor->pixel_max;
    const std::size_t pixel = in_.pixel();
    const Span& ys = pool_->rows[y];
    const std::ptrdiff_t next_row = signed_size(pool_->window.y.dilation * in_.row());
    clear(in_.w, columns);
    for (std::size_t x = 0; x < in_.w; ++x)
      pixel_max({in.at(image, ys.start, signed_size(x)), next_row}, ys.count, pixel, columns + x * pixel, 0);
    clear(out_.w, row);
    for (std::size_t x = 0; x < out_.w; ++x) {
      const Span& xs = pool_->columns[x];
      pixel_max({columns + xs.start * signed_size(pixel), signed_size(pool_->window.x.dilation * pixel)}, xs.count,
                pixel, row + x * pixel, 0);
    }
  }
  // Padding lanes stay zero.
  void clear(std::size_t pixels, float* row) const {
    for (std::size_t x = 0; x < pixels; ++x, row += in_.pixel()) {
      std::fill_n(row, in_.c, -std::numeric_limits<float>::infinity());
      std::fill(row + in_.c, row + in_.pixel(), 0.0f);
    }
  }

  const PoolWindow* pool_;
  MapShape in_, out_;
  std::optional<UnaryFunction> activation_;
};

class WindowPool final : public Op {
 public:
  WindowPool(const OpContext& context, bool is_max)
      : in_(image_of(context)),
        pool_(read_pool_window(context, in_)),
        is_max_(is_max),
        activation_(activation_of(context.attributes())) {}

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {float_map(pool_.out)}; }
  bool applies_activation() const override { return true; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map(), out = outputs[0].map();
    if (is_separable(in)) return std::make_unique<SeparableMaxPool>(pool_, in, out, activation_, members);
    const auto rows = [this, in, out](const Operands& at, std::size_t first, std::size_t end) {
      for (std::size_t line = first; line < end; ++line)
        run_row(at.input_map(0, in), at.output_map(out), line / out.h, line % out.h);
    };
    return make_row_step(out, members, activation_, static_cast<double>(pool_.window.taps()), rows);
  }

 private:
  bool is_separable(const MapShape& in) const {
    const std::size_t rows = pool_.window.y.kernel, columns = pool_.window.x.kernel;
    return is_max_ && rows * in.w + columns * pool_.out.w < rows * columns * pool_.out.w;
  }

  // Tap by tap over the row. A position without a pixel is -infinity, or 0.
  void run_row(const FeatureMap& in, const FeatureMap& out, std::size_t image, std::size_t y) const {
    const TensorKernels& kernels = *active_kernels().tensor;
    const std::size_t pixel = out.shape.pixel();
    float* row = out.at(image, signed_size(y), 0);
    const float start = is_max_ ? -std::numeric_limits<float>::infinity() : 0.0f;
    for (std::size_t x = 0; x < out.shape.w; ++x) {
      std::fill_n(row + x * pixel, in.shape.c, start);
      std::fill(row + x * pixel + in.shape.c, row + (x + 1) * pixel, 0.0f);
    }
    const Span& ys = pool_.rows[y];
    for (std::size_t i = 0; i < ys.count; ++i) {
      const std::ptrdiff_t in_y = ys.start + signed_size(i * pool_.window.y.dilation);
      for (std::size_t x = 0; x < out.shape.w; ++x) {
        const Span& xs = pool_.columns[x];
        const PixelRow taps{in.at(image, in_y, xs.start), signed_size(pool_.window.x.dilation * pixel)};
        float* to = row + x * pixel;
        if (is_max_)
          kernels.pixel_max(taps, xs.count, pixel, to, 0);
        else
          kernels.pixel_add(taps, xs.count, pixel, 1.0f, to, 0);
      }
    }
    if (is_max_) return;
    for (std::size_t x = 0; x < out.shape.w; ++x) {
      const float count = static_cast<float>(ys.counted * pool_.columns[x].counted);
      for (std::size_t c = 0; c < in.shape.c; ++c) row[x * pixel + c] /= count;
    }
  }

  MapShape in_;
  PoolWindow pool_;
  bool is_max_;
  std::optional<UnaryFunction> activation_;
};

void global_max(const FeatureMap& x, std::size_t image, float* most) {
  const MapShape& shape = x.shape;
  std::fill_n(most, shape.c, -std::numeric_limits<float>::infinity());
  std::fill(most + shape.c, most + shape.pixel(), 0.0f);
  for (std::size_t row = 0; row < shape.h; ++row)
    active_kernels().tensor->pixel_max({x.at(image, signed_size(row), 0), signed_size(shape.pixel())}, shape.w,
                                       shape.pixel(), most, 0);
}

bool is_max(const OpContext& context) {
  const std::string& kind = context.attributes().text("kind");
  if (kind != "average" && kind != "max")
    fail(code::kInvalidArg, "expected kind average or max, received '", kind, "'");
  return kind == "max";
}

class GlobalPool final : public Op {
 public:
  explicit GlobalPool(const OpContext& context)
      : in_(image_of(context)), is_max_(is_max(context)), activation_(activation_of(context.attributes())) {}

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {float_map({in_.n, in_.c, 1, 1})}; }
  bool applies_activation() const override { return true; }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<GlobalPool>(*this);
    op->in_ = inputs[0].map();
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map(), out = outputs[0].map();
    const auto rows = [is_max = is_max_, in, out](const Operands& at, std::size_t first, std::size_t end) {
      const FeatureMap x = at.input_map(0, in), y = at.output_map(out);
      if (!is_max) return global_average(x, y, active_kernels(), {first, end - first});
      for (std::size_t n = first; n < end; ++n) global_max(x, n, y.at(n, 0, 0));
    };
    return make_row_step(out, members, activation_, static_cast<double>(in.h * in.w), rows);
  }

 private:
  MapShape in_;
  bool is_max_;
  std::optional<UnaryFunction> activation_;
};

// Ops for training take an image and have no activation.
MapShape trained_image_of(const TrainingContext& context) {
  context.expect_inputs(1, 1);
  context.expect_no_activation();
  return context.map();
}

// 3x3, stride 1, padding 1, which counts.
class TrainedAveragePool final : public TrainedOp {
 public:
  using TrainedOp::TrainedOp;

  std::size_t input_halo() const override { return 1; }
  std::size_t output_gradient_halo() const override { return 1; }

  void forward(const Run& run) override { average3x3(x(), false, y(), active_kernels(), run.team(9 * work())); }
  void backward(const Run& run) override {
    average3x3(grad_y(), wiring_.accumulate[0], grad_x(), active_kernels(), run.team(9 * work()));
  }
};

class TrainedGlobalAverage final : public TrainedOp {
 public:
  TrainedGlobalAverage(const TrainingContext& context, const MapShape& in)
      : TrainedOp(context, {in.n, in.c, 1, 1}), elements_(static_cast<double>(in.elements())) {}

  double work() const override { return elements_; }

  void forward(const Run& run) override {
    parallel_ranges(run.team(work()), output().n, output().n, [&](std::size_t begin, std::size_t end) {
      global_average(x(), y(), active_kernels(), {begin, end - begin});
    });
  }
  void backward(const Run& run) override {
    global_average_backward(grad_y(), wiring_.accumulate[0], grad_x(), run.team(work()));
  }

 private:
  double elements_;
};

}  // namespace

std::unique_ptr<Op> make_max_pool(const OpContext& context) {
  if (!context.inputs.empty() && context.inputs[0].quantization) return make_integer_max_pool(context);
  return std::make_unique<WindowPool>(context, true);
}
std::unique_ptr<Op> make_average_pool(const OpContext& context) { return std::make_unique<WindowPool>(context, false); }
std::unique_ptr<Op> make_global_pool(const OpContext& context) { return std::make_unique<GlobalPool>(context); }

// The output has the size of the input, whether the node says so or not.
std::unique_ptr<TrainedOp> train_average_pool(const TrainingContext& context) {
  const MapShape shape = trained_image_of(context);
  const Attributes& attributes = context.attributes();
  constexpr Side kSide{3, 1, 1, 1, 1};
  const Window window = read_window(attributes);
  const bool same_size = !attributes.has("outputSize") || attributes.sizes("outputSize") == Dims{shape.h, shape.w};
  if (!(window.y == kSide && window.x == kSide && attributes.flag("countIncludePad") && same_size))
    fail(code::kInvalidArg, "expected a 3x3 average of stride 1 and padding 1, which counts");
  return std::make_unique<TrainedAveragePool>(context, shape);
}

std::unique_ptr<TrainedOp> train_global_pool(const TrainingContext& context) {
  const MapShape shape = trained_image_of(context);
  if (is_max(context)) fail(code::kInvalidArg, "expected kind average, received 'max'");
  return std::make_unique<TrainedGlobalAverage>(context, shape);
}

}  // namespace qarepvgg
