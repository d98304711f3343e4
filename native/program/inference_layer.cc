#include "program/inference_layer.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/pooling.h"
#include "ops/squeeze_excite.h"
#include "ops/stem_convolution.h"
#include "ops/winograd.h"
#include "program/quantized_layer.h"

namespace qarepvgg {
namespace {

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
  static void run(const Plan& plan, const StepInput& in, const float* weights, const float* bias, const ByteMap& out,
                  bool relu, float*, const Member& member) {
    plan.run_part(in.map.floats(), weights, bias, out.floats(), relu, member);
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
  static void run(const Plan& plan, const StepInput& in, const float* weights, const float* bias, const ByteMap& out,
                  bool relu, float* scratch, const Member& member) {
    plan.run_part(in.map.floats(), weights, bias, out.floats(), {false, relu}, scratch, member);
  }
};

struct Stem {
  using Plan = StemConvolution;
  static Plan plan(const ConvShape& shape, const Panels* panels, std::size_t) {
    return panels != nullptr ? Plan(shape, *panels, active_kernels()) : Plan(shape, active_kernels());
  }
  static void pack(const Plan& plan, const float* weight, float* packed, int) { plan.pack_weights(weight, packed); }
  static std::size_t scratch_floats(const Plan& plan) { return plan.scratch_floats(); }
  static void run(const Plan& plan, const StepInput& in, const float* weights, const float* bias, const ByteMap& out,
                  bool relu, float* scratch, const Member& member) {
    plan.run_part(in.image, weights, bias, out.floats(), relu, scratch, member);
  }
};

template <class Method>
class ConvStep final : public InferenceStep {
 public:
  using Plan = typename Method::Plan;

  ConvStep(Plan plan, const float* weights, const float* bias, bool relu)
      : plan_(std::move(plan)), weights_(weights), bias_(bias), relu_(relu) {}
  std::size_t scratch_bytes() const override { return checked_mul(Method::scratch_floats(plan_), sizeof(float)); }
  void run_part(const StepInput& in, const ByteMap& out, std::byte* scratch, const Member& member) const override {
    Method::run(plan_, in, weights_, bias_, out, relu_, reinterpret_cast<float*>(scratch), member);
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
      : op_(op), nominal_(Method::plan(op.conv_shape(input), nullptr, 1)), panels_(nominal_.panels()) {}

  MapShape output(const MapShape& input) const override {
    const ConvShape shape = op_.conv_shape(input);
    shape.validate();
    return {shape.n, shape.out_c, shape.out_h(), shape.out_w()};
  }
  std::size_t input_halo() const override { return op_.padding; }
  double macs(const MapShape& input) const override { return op_.conv_shape(input).macs(); }
  std::size_t weight_bytes() const override {
    return checked_mul(checked_add(bias_offset(), nominal_.bias_floats()), sizeof(float));
  }

  void pack(const float* state, std::byte* packed, int threads) override {
    auto* weights = reinterpret_cast<float*>(packed);
    float* bias = weights + bias_offset();
    weights_ = weights;
    bias_ = bias;
    Method::pack(nominal_, state + op_.weight, weights, threads);
    if (op_.bias != kNoTensor)
      nominal_.pack_bias(state + op_.bias, bias);
    else
      std::fill_n(bias, nominal_.bias_floats(), 0.0f);
  }

  std::unique_ptr<InferenceStep> plan(const MapShape& input, std::size_t members) const override {
    return std::make_unique<ConvStep<Method>>(Method::plan(op_.conv_shape(input), &panels_, members), weights_, bias_,
                                              op_.relu);
  }

 private:
  std::size_t bias_offset() const { return round_up(nominal_.weight_floats(), kAlignedFloats); }

  OpSpec op_;
  typename Method::Plan nominal_;
  Panels panels_;
  const float *weights_ = nullptr, *bias_ = nullptr;
};

// ---- layers without weights --------------------------------------------------------------------------------------

class PoolStep final : public InferenceStep {
 public:
  void run_part(const StepInput& in, const ByteMap& out, std::byte*, const Member& member) const override {
    global_average_part(in.map.floats(), out.floats(), active_kernels(), member);
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
  std::size_t scratch_bytes() const override { return gate_.saved_per_image() * sizeof(float); }
  // Every member measures for itself: that is cheaper than to wait for one that does.
  void run_part(const StepInput& in, const ByteMap& out, std::byte* scratch, const Member& member) const override {
    const FeatureMap map = in.map.floats();
    auto* gates = reinterpret_cast<float*>(scratch);
    for (std::size_t image = 0; image < map.shape.n; ++image) {
      gate_.measure(map, image, weights_, gates);
      gate_.apply(map, image, gates, relu_, out.floats(), member.begin(map.shape.h), member.end(map.shape.h));
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
  std::size_t weight_bytes() const override {
    return checked_mul(checked_add(2 * op_.reduced * channels_, op_.reduced + channels_), sizeof(float));
  }
  void pack(const float* state, std::byte* packed, int) override {
    auto* next = reinterpret_cast<float*>(packed);
    const auto keep = [&](StateOffset offset, std::size_t floats) {
      const float* kept = next;
      next = std::copy_n(state + offset, floats, next);
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
  void run_part(const StepInput& in, const ByteMap& out, std::byte*, const Member& member) const override {
    import_image_part(in.image.floats, out.floats(), 0, active_kernels(), member);
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
  if (is_quantized(op.kind)) return make_quantized_layer(op, input, algorithm);
  if (op.kind == OpKind::kSqueezeExcite) return std::make_unique<SqueezeExciteLayer>(op, input);
  if (op.kind != OpKind::kConv || op.identity)
    fail(code::kModelIncompatible,
         "expected a re-parameterised network (convolutions, pooling, linear): call switchToDeploy() first");
  const ConvShape shape = op.conv_shape(input);
  shape.validate();
  const bool winograd = WinogradConvolution::supports(shape) && algorithm != Algorithm::kGemm &&
                        (algorithm == Algorithm::kWinograd || WinogradConvolution::pays(shape));
  if (winograd) return std::make_unique<ConvLayer<Winograd>>(op, input);
  return std::make_unique<ConvLayer<Direct>>(op, input);
}

std::size_t stem_ops(const ProgramSpec& spec) {
  const std::size_t ops = spec.ops.front().kind == OpKind::kQuantize && spec.ops.size() > 1 ? 2 : 1;
  const OpSpec& conv = spec.ops[ops - 1];
  const OpKind wanted = ops == 2 ? OpKind::kQuantizedConv : OpKind::kConv;
  return conv.kind == wanted && conv.groups == 1 && spec.c <= StemConvolution::kMaxChannels ? ops : 0;
}

std::unique_ptr<InferenceLayer> make_stem_layer(const ProgramSpec& spec, std::size_t ops, const MapShape& input) {
  const OpSpec& conv = spec.ops[ops - 1];
  conv.conv_shape(input).validate();
  if (ops == 2) return make_quantized_stem_layer(conv, input);
  return std::make_unique<ConvLayer<Stem>>(conv, input);
}

std::unique_ptr<InferenceLayer> make_import_layer() { return std::make_unique<ImportLayer>(); }

}  // namespace qarepvgg
