#include "program/inference_layer.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/pooling.h"
#include "ops/squeeze_excite.h"
#include "ops/stem_convolution.h"
#include "ops/winograd.h"

namespace qarepvgg {
namespace {

ConvShape conv_shape(const OpSpec& op, const MapShape& input) {
  return {input.n,   input.c,   input.h,    input.w,     op.out_channels,
          op.kernel, op.stride, op.padding, op.dilation, op.groups};
}

// ---- convolutions ------------------------------------------------------------------------------------------------
// Three ways to compute one, alike but for their plan. A Method makes the plan for a shape and runs it.

struct Direct {
  using Plan = TapConvolution;
  static Plan plan(const ConvShape& shape, const Panels* panels, std::size_t) {
    return panels != nullptr ? Plan::forward(shape, *panels, active_kernels()) : Plan::forward(shape, active_kernels());
  }
  static void pack(const Plan& plan, const float* weight, float* packed, int threads) {
    plan.pack_weights(weight, packed, threads);
  }
  static std::size_t scratch_floats(const Plan&) { return 0; }
  static void run(const Plan& plan, const StepInput& in, const float* weights, const float* bias, const FeatureMap& out,
                  bool relu, float*, const Member& member) {
    plan.run_part(in.map, weights, bias, out, relu, member);
  }
};

struct Winograd {
  using Plan = WinogradConvolution;
  static Plan plan(const ConvShape& shape, const Panels* panels, std::size_t members) {
    return Plan(shape, panels != nullptr ? *panels : Plan::choose(shape, active_kernels()), members, active_kernels());
  }
  static void pack(const Plan& plan, const float* weight, float* packed, int threads) {
    plan.pack_weights(weight, packed, threads);
  }
  static std::size_t scratch_floats(const Plan& plan) { return plan.scratch_floats(); }
  static void run(const Plan& plan, const StepInput& in, const float* weights, const float* bias, const FeatureMap& out,
                  bool relu, float* scratch, const Member& member) {
    plan.run_part(in.map, weights, bias, out, {false, relu}, scratch, member);
  }
};

struct Stem {
  using Plan = StemConvolution;
  static Plan plan(const ConvShape& shape, const Panels* panels, std::size_t) {
    return panels != nullptr ? Plan(shape, *panels, active_kernels()) : Plan(shape, active_kernels());
  }
  static void pack(const Plan& plan, const float* weight, float* packed, int) { plan.pack_weights(weight, packed); }
  static std::size_t scratch_floats(const Plan& plan) { return plan.scratch_floats(); }
  static void run(const Plan& plan, const StepInput& in, const float* weights, const float* bias, const FeatureMap& out,
                  bool relu, float* scratch, const Member& member) {
    plan.run_part(in.image, weights, bias, out, relu, scratch, member);
  }
};

template <class Method>
class ConvStep final : public InferenceStep {
 public:
  using Plan = typename Method::Plan;

  ConvStep(Plan plan, const float* weights, const float* bias, bool relu)
      : plan_(std::move(plan)), weights_(weights), bias_(bias), relu_(relu) {}
  std::size_t scratch_floats() const override { return Method::scratch_floats(plan_); }
  void run_part(const StepInput& in, const FeatureMap& out, float* scratch, const Member& member) const override {
    Method::run(plan_, in, weights_, bias_, out, relu_, scratch, member);
  }

 private:
  Plan plan_;
  const float *weights_, *bias_;
  bool relu_;
};

template <class Method>
class ConvLayer final : public InferenceLayer {
 public:
  ConvLayer(const OpSpec& op, const MapShape& input)
      : op_(op), nominal_(Method::plan(conv_shape(op, input), nullptr, 1)), panels_(nominal_.panels()) {}

  MapShape output(const MapShape& input) const override {
    const ConvShape shape = conv_shape(op_, input);
    shape.validate();
    return {shape.n, shape.out_c, shape.out_h(), shape.out_w()};
  }
  std::size_t input_halo() const override { return op_.padding; }
  std::size_t weight_floats() const override { return checked_add(bias_offset(), nominal_.bias_floats()); }

  void pack(const float* state, float* packed, int threads) override {
    weights_ = packed;
    bias_ = packed + bias_offset();
    Method::pack(nominal_, state + op_.weight, packed, threads);
    if (op_.bias != kNoTensor)
      nominal_.pack_bias(state + op_.bias, packed + bias_offset());
    else
      std::fill_n(packed + bias_offset(), nominal_.bias_floats(), 0.0f);
  }

  std::unique_ptr<InferenceStep> plan(const MapShape& input, std::size_t members) const override {
    return std::make_unique<ConvStep<Method>>(Method::plan(conv_shape(op_, input), &panels_, members), weights_, bias_,
                                              op_.relu);
  }

 private:
  std::size_t bias_offset() const { return round_up(nominal_.weight_floats(), kAlignedFloats); }

  OpSpec op_;
  typename Method::Plan nominal_;
  Panels panels_;
  const float *weights_ = nullptr, *bias_ = nullptr;
};

// The fixed rule of 'auto': transforms pay where both channel counts fill the multiplications between them.
bool winograd_pays(const ConvShape& shape) {
  return shape.in_c / shape.groups >= 32 && shape.out_c / shape.groups >= 32 && shape.in_h * shape.in_w >= 36;
}

// ---- layers without weights --------------------------------------------------------------------------------------

class PoolStep final : public InferenceStep {
 public:
  void run_part(const StepInput& in, const FeatureMap& out, float*, const Member& member) const override {
    global_average_part(in.map, out, active_kernels(), member);
  }
};

class PoolLayer final : public InferenceLayer {
 public:
  MapShape output(const MapShape& input) const override { return {input.n, input.c, 1, 1}; }
  std::unique_ptr<InferenceStep> plan(const MapShape&, std::size_t) const override {
    return std::make_unique<PoolStep>();
  }
};

class SqueezeExciteStep final : public InferenceStep {
 public:
  SqueezeExciteStep(SqueezeExcite gate, SqueezeExciteWeights weights, bool relu)
      : gate_(std::move(gate)), weights_(weights), relu_(relu) {}
  std::size_t scratch_floats() const override { return gate_.saved_per_image(); }
  // Every member measures for itself: that is cheaper than to wait for one that does.
  void run_part(const StepInput& in, const FeatureMap& out, float* scratch, const Member& member) const override {
    const std::size_t rows = in.map.shape.h;
    for (std::size_t image = 0; image < in.map.shape.n; ++image) {
      gate_.measure(in.map, image, weights_, scratch);
      gate_.apply(in.map, image, scratch, relu_, out, member.begin(rows), member.end(rows));
    }
  }

 private:
  SqueezeExcite gate_;
  SqueezeExciteWeights weights_;
  bool relu_;
};

class SqueezeExciteLayer final : public InferenceLayer {
 public:
  SqueezeExciteLayer(const OpSpec& op, const MapShape& input) : op_(op), channels_(input.c) {}

  MapShape output(const MapShape& input) const override { return {input.n, input.c, input.h, input.w}; }
  std::size_t weight_floats() const override {
    return checked_add(2 * op_.reduced * channels_, op_.reduced + channels_);
  }
  void pack(const float* state, float* packed, int) override {
    const auto keep = [&](StateOffset offset, std::size_t floats) {
      const float* kept = std::copy_n(state + offset, floats, packed) - floats;
      packed += floats;
      return kept;
    };
    weights_.reduced = op_.reduced;
    weights_.down = keep(op_.weight, op_.reduced * channels_);
    weights_.down_bias = keep(op_.bias, op_.reduced);
    weights_.up = keep(op_.up_weight, op_.reduced * channels_);
    weights_.up_bias = keep(op_.up_bias, channels_);
  }
  std::unique_ptr<InferenceStep> plan(const MapShape& input, std::size_t) const override {
    return std::make_unique<SqueezeExciteStep>(SqueezeExcite(input, op_.reduced, active_kernels()), weights_, op_.relu);
  }

 private:
  OpSpec op_;
  std::size_t channels_;
  SqueezeExciteWeights weights_{};
};

class ImportStep final : public InferenceStep {
 public:
  void run_part(const StepInput& in, const FeatureMap& out, float*, const Member& member) const override {
    import_image_part(in.image.floats, out, 0, active_kernels(), member);
  }
};

class ImportLayer final : public InferenceLayer {
 public:
  MapShape output(const MapShape& input) const override { return input; }
  std::unique_ptr<InferenceStep> plan(const MapShape&, std::size_t) const override {
    return std::make_unique<ImportStep>();
  }
};

}  // namespace

std::unique_ptr<InferenceLayer> make_inference_layer(const OpSpec& op, const MapShape& input, Algorithm algorithm) {
  if (op.kind == OpKind::kGlobalAverage) {
    if (op.relu) fail(code::kInvalidArg, "expected a global average without a fused ReLU");
    return std::make_unique<PoolLayer>();
  }
  if (op.kind == OpKind::kSqueezeExcite) return std::make_unique<SqueezeExciteLayer>(op, input);
  if (op.kind != OpKind::kConv || op.identity)
    fail(code::kModelIncompatible,
         "expected a re-parameterised network (convolutions, pooling, linear): call switchToDeploy() first");
  const ConvShape shape = conv_shape(op, input);
  shape.validate();
  const bool winograd = WinogradConvolution::supports(shape) && algorithm != Algorithm::kGemm &&
                        (algorithm == Algorithm::kWinograd || winograd_pays(shape));
  if (winograd) return std::make_unique<ConvLayer<Winograd>>(op, input);
  return std::make_unique<ConvLayer<Direct>>(op, input);
}

bool reads_image(const OpSpec& op, const MapShape& input) {
  return op.kind == OpKind::kConv && op.groups == 1 && input.c <= StemConvolution::kMaxChannels;
}

std::unique_ptr<InferenceLayer> make_stem_layer(const OpSpec& op, const MapShape& input) {
  conv_shape(op, input).validate();
  return std::make_unique<ConvLayer<Stem>>(op, input);
}

std::unique_ptr<InferenceLayer> make_import_layer() { return std::make_unique<ImportLayer>(); }

}  // namespace qarepvgg
