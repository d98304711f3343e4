// squeezeExcite: [x, down [reduced, c], downBias, up [c, reduced], upBias]; activation.
#include "ops/squeeze_excite.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/dispatch.h"
#include "ops/winograd_tiles.h"
#include "program/ops/activation.h"
#include "program/ops/image_parts.h"
#include "program/ops/table.h"
#include "program/train/trained_op.h"

namespace qarepvgg {
namespace {

// Outputs of the first linear layer.
std::size_t read_reduced(const OpContext& context) {
  context.expect_inputs(5, 5);
  const Dims& down = context.inputs[1].dims();
  if (down.empty() || down[0] == 0)
    fail(code::kShape, "expected weights [reduced, channels], received ", text_of(down));
  return down[0];
}

class SqueezeExciteStep final : public Step {
 public:
  SqueezeExciteStep(const MapShape& in, const MapShape& out, std::size_t members, SqueezeExcite gate,
                    SqueezeExciteWeights weights, const Activation& activation)
      : Step({in.n * in.h, members, map_size(in)}),
        in_(in),
        out_(out),
        gate_(std::move(gate)),
        weights_(weights),
        activation_(activation) {}
  std::size_t scratch_bytes() const override {
    return checked_add(kAlignment, gate_.saved_per_image() * sizeof(float));
  }

 private:
  // Every member computes the gate of an image for itself, which is cheaper than waiting for another one.
  void run_items(const Operands& at, std::byte* scratch, const Tile& rows, bool first) const override {
    const FeatureMap map = at.input_map(0, in_);
    HeldBlock measured(scratch, first);
    auto* gates = reinterpret_cast<float*>(scratch + kAlignment);
    for (std::size_t row = rows.first, last = rows.first + rows.length; row < last;) {
      const std::size_t image = row / in_.h, top = image * in_.h, end = std::min(last, top + in_.h);
      if (!measured.is(image)) gate_.measure(map, image, weights_, gates);
      gate_.apply(map, image, gates, activation_.clamp(), at.output_map(out_), row - top, end - top);
      row = end;
    }
  }

  MapShape in_, out_;
  SqueezeExcite gate_;
  SqueezeExciteWeights weights_;
  Activation activation_;
};

class SqueezeExciteOp final : public Op {
 public:
  explicit SqueezeExciteOp(const OpContext& context) {
    const std::size_t reduced = read_reduced(context);
    in_ = read_image(context, Dtype::kFloat32);
    const std::size_t c = in_.c;
    weights_ = {reduced, read_floats(context, 1, {reduced, c}), read_floats(context, 2, {reduced}),
                read_floats(context, 3, {c, reduced}), read_floats(context, 4, {c})};
    activation_ = stored_activation_of(context.attributes());
  }

  Access access(std::size_t input) const override { return input == 0 ? Access::kMap : Access::kNone; }
  std::vector<ValueType> outputs() const override { return {float_map(in_)}; }
  bool applies_activation() const override { return activation_.clamp() != nullptr; }
  std::size_t weight_bytes() const override {
    return checked_mul(checked_add(checked_product({2, weights_.reduced, in_.c}), weights_.reduced + in_.c),
                       sizeof(float));
  }
  void pack(std::byte* packed, int) override {
    auto* next = reinterpret_cast<float*>(packed);
    const auto keep = [&](const float*& tensor, std::size_t floats) {
      const float* kept = next;
      next = std::copy_n(tensor, floats, next);
      tensor = kept;
    };
    keep(weights_.down, weights_.reduced * in_.c);
    keep(weights_.down_bias, weights_.reduced);
    keep(weights_.up, weights_.reduced * in_.c);
    keep(weights_.up_bias, in_.c);
  }
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override {
    auto op = std::make_unique<SqueezeExciteOp>(*this);
    op->in_ = inputs[0].map();
    return op;
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const MapShape in = inputs[0].map();
    return std::make_unique<SqueezeExciteStep>(
        in, outputs[0].map(), members, SqueezeExcite(in, weights_.reduced, active_kernels()), weights_, activation_);
  }

 private:
  MapShape in_;
  SqueezeExciteWeights weights_{};
  Activation activation_;
};

class TrainedSqueezeExcite final : public TrainedOp {
 public:
  TrainedSqueezeExcite(const TrainingContext& context, const MapShape& shape)
      : TrainedOp(context, shape),
        reduced_(read_reduced(context)),
        down_(context.tensor(1, {reduced_, shape.c})),
        down_bias_(context.tensor(2, {reduced_})),
        up_(context.tensor(3, {shape.c, reduced_})),
        up_bias_(context.tensor(4, {shape.c})),
        gate_(shape, reduced_, active_kernels()) {}

  std::size_t saved_floats() const override { return gate_.saved_floats(); }
  bool backward_reads_input() const override { return true; }
  double work() const override { return 2 * TrainedOp::work(); }

  void forward(const Run& run) override {
    parallel_for(run.team(work()), output().n, [&](std::size_t image) {
      float* saved = wiring_.saved + image * gate_.saved_per_image();
      gate_.measure(x(), image, weights(run.state), saved);
      gate_.apply(x(), image, saved, clamp(), y(), 0, output().h);
    });
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    mask_gradient(team);
    float* gradients = run.gradients;
    gate_.backward(grad_y(), x(), weights(run.state), wiring_.saved, wiring_.accumulate[0], grad_x(),
                   {gradients + down_, gradients + down_bias_, gradients + up_, gradients + up_bias_}, team);
  }

 private:
  SqueezeExciteWeights weights(const float* state) const {
    return {reduced_, state + down_, state + down_bias_, state + up_, state + up_bias_};
  }

  std::size_t reduced_;
  StateOffset down_, down_bias_, up_, up_bias_;
  SqueezeExcite gate_;
};

}  // namespace

std::unique_ptr<Op> make_squeeze_excite(const OpContext& context) { return std::make_unique<SqueezeExciteOp>(context); }

std::unique_ptr<TrainedOp> train_squeeze_excite(const TrainingContext& context) {
  return std::make_unique<TrainedSqueezeExcite>(context, context.map());
}

}  // namespace qarepvgg
