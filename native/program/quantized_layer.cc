#include "program/quantized_layer.h"

#include "kernels/dispatch.h"
#include "ops/integer_convolution.h"
#include "ops/integer_stem.h"
#include "ops/integer_winograd.h"
#include "ops/pooling.h"

namespace qarepvgg {
namespace {

const IntegerKernels& kernels() { return *active_kernels().integer; }

Elements elements_of(const std::optional<Quantization>& quantization) {
  if (!quantization) return {};
  return {static_cast<std::size_t>(kernels().element_bytes), quantization->zero_point()};
}

std::string label_of(const OpSpec& op) { return op_label(op.inputs.front(), name_of(op.kind)); }

// ---- convolutions ------------------------------------------------------------------------------------------------
// Three ways to compute one, alike but for their plan. A Method makes the plan for a shape and runs it.

struct Direct {
  using Plan = IntegerConvolution;
  static Plan plan(const OpSpec&, const ConvShape& shape, const Panels* panels, std::size_t) {
    return panels != nullptr ? Plan(shape, *panels, kernels()) : Plan(shape, kernels());
  }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int threads) {
    plan.pack_weights(weight, packed, threads);
  }
  static std::size_t scratch_bytes(const Plan&) { return 0; }
  static void run(const Plan& plan, const StepInput& in, const std::byte* weights, const SumStore& sums,
                  const ByteMap& out, std::byte*, const Member& member) {
    plan.run_part(in.map, weights, sums, out, member);
  }
};

struct Winograd {
  using Plan = IntegerWinograd;
  static Plan plan(const OpSpec&, const ConvShape& shape, const Panels* panels, std::size_t members) {
    return Plan(shape, panels != nullptr ? *panels : Plan::choose(shape, kernels()), members, kernels());
  }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int threads) {
    plan.pack_weights(weight, packed, threads);
  }
  static std::size_t scratch_bytes(const Plan& plan) { return plan.scratch_bytes(); }
  static void run(const Plan& plan, const StepInput& in, const std::byte* weights, const SumStore& sums,
                  const ByteMap& out, std::byte* scratch, const Member& member) {
    plan.run_part(in.map, weights, sums, out, scratch, member);
  }
};

struct Stem {
  using Plan = IntegerStem;
  static Plan plan(const OpSpec& op, const ConvShape& shape, const Panels* panels, std::size_t) {
    return panels != nullptr ? Plan(shape, *panels, *op.from, kernels()) : Plan(shape, *op.from, kernels());
  }
  static void pack(const Plan& plan, const std::int8_t* weight, std::byte* packed, int) {
    plan.pack_weights(weight, packed);
  }
  static std::size_t scratch_bytes(const Plan& plan) { return plan.scratch_bytes(); }
  static void run(const Plan& plan, const StepInput& in, const std::byte* weights, const SumStore& sums,
                  const ByteMap& out, std::byte* scratch, const Member& member) {
    plan.run_part(in.image, weights, sums, out, scratch, member);
  }
};

template <class Method>
class QuantizedConvStep final : public InferenceStep {
 public:
  using Plan = typename Method::Plan;

  QuantizedConvStep(Plan plan, const std::byte* weights, const SumStore& sums)
      : plan_(std::move(plan)), weights_(weights), sums_(sums) {}
  std::size_t scratch_bytes() const override { return Method::scratch_bytes(plan_); }
  void run_part(const StepInput& in, const ByteMap& out, std::byte* scratch, const Member& member) const override {
    Method::run(plan_, in, weights_, sums_, out, scratch, member);
  }

 private:
  Plan plan_;
  const std::byte* weights_;
  SumStore sums_;
};

template <class Method>
class QuantizedConvLayer final : public InferenceLayer {
 public:
  QuantizedConvLayer(const OpSpec& op, const MapShape& input)
      : op_(op),
        nominal_(Method::plan(op, op.conv_shape(input), nullptr, 1)),
        panels_(nominal_.panels()),
        sums_(*op.from, op.to, op.relu) {}

  MapShape output(const MapShape& input) const override {
    const ConvShape shape = op_.conv_shape(input);
    shape.validate();
    return {shape.n, shape.out_c, shape.out_h(), shape.out_w()};
  }
  Elements elements() const override { return elements_of(op_.to); }
  std::size_t input_halo() const override { return op_.padding; }
  double macs(const MapShape& input) const override { return op_.conv_shape(input).macs(); }
  std::size_t weight_bytes() const override {
    return checked_add(lanes_offset(), checked_mul(2 * lanes(), sizeof(float)));
  }

  void pack(const float*, std::byte* packed, int threads) override {
    weights_ = packed;
    Method::pack(nominal_, op_.quantized->weight.data(), packed, threads);
    auto* start = reinterpret_cast<std::int32_t*>(packed + lanes_offset());
    sums_.pack(*op_.quantized, op_.groups, panels_, nominal_.offset(), start,
               reinterpret_cast<float*>(start + lanes()));
    op_.quantized.reset();  // not needed again
  }

  std::unique_ptr<InferenceStep> plan(const MapShape& input, std::size_t members) const override {
    return std::make_unique<QuantizedConvStep<Method>>(Method::plan(op_, op_.conv_shape(input), &panels_, members),
                                                       weights_, sums_);
  }

 private:
  std::size_t lanes() const { return checked_mul(op_.groups, panels_.padded()); }
  std::size_t lanes_offset() const { return round_up(nominal_.weight_bytes(), kAlignment); }

  OpSpec op_;
  typename Method::Plan nominal_;
  Panels panels_;
  SumStore sums_;
  const std::byte* weights_ = nullptr;
};

void check_conv(const OpSpec& op, const ConvShape& shape) {
  shape.validate();
  check_weights(*op.quantized, shape, label_of(op));
  SumStore(*op.from, op.to, op.relu).check(op.quantized->scale, label_of(op));
}

std::unique_ptr<InferenceLayer> make_conv_layer(const OpSpec& op, const MapShape& input, Algorithm algorithm) {
  const ConvShape shape = op.conv_shape(input);
  check_conv(op, shape);
  const bool wanted =
      algorithm == Algorithm::kWinograd || (algorithm == Algorithm::kAuto && IntegerWinograd::pays(shape));
  if (wanted && IntegerWinograd::supports(shape) && IntegerWinograd::is_exact(shape, op.quantized->weight.data()))
    return std::make_unique<QuantizedConvLayer<Winograd>>(op, input);
  return std::make_unique<QuantizedConvLayer<Direct>>(op, input);
}

// ---- layers without weights --------------------------------------------------------------------------------------

class QuantizeStep final : public InferenceStep {
 public:
  explicit QuantizeStep(const Quantization& to) : parameters_(to.parameters()) {}
  // Zero becomes the zero point: padding lanes become what they should be.
  void run_part(const StepInput& in, const ByteMap& out, std::byte*, const Member& member) const override {
    const FeatureMap x = in.map.floats();
    const MapShape& shape = x.shape;
    for (std::size_t row = member.begin(shape.n * shape.h); row < member.end(shape.n * shape.h); ++row) {
      const std::ptrdiff_t y = static_cast<std::ptrdiff_t>(row % shape.h);
      kernels().quantize(x.at(row / shape.h, y, 0), shape.w * shape.pixel(), parameters_, out.at(row / shape.h, y, 0));
    }
  }

 private:
  QuantizeParameters parameters_;
};

class QuantizeLayer final : public InferenceLayer {
 public:
  explicit QuantizeLayer(const OpSpec& op) : to_(*op.to) {}
  MapShape output(const MapShape& input) const override { return {input.n, input.c, input.h, input.w}; }
  Elements elements() const override { return elements_of(to_); }
  std::unique_ptr<InferenceStep> plan(const MapShape&, std::size_t) const override {
    return std::make_unique<QuantizeStep>(to_);
  }

 private:
  Quantization to_;
};

class DequantizeStep final : public InferenceStep {
 public:
  explicit DequantizeStep(const Quantization& from) : from_(from) {}
  void run_part(const StepInput& in, const ByteMap& out, std::byte*, const Member& member) const override {
    const FeatureMap y = out.floats();
    const MapShape& shape = in.map.shape;
    for (std::size_t row = member.begin(shape.n * shape.h); row < member.end(shape.n * shape.h); ++row) {
      const std::ptrdiff_t line = static_cast<std::ptrdiff_t>(row % shape.h);
      kernels().dequantize(in.map.at(row / shape.h, line, 0), shape.w * shape.pixel(), from_.scale(),
                           from_.zero_point(), y.at(row / shape.h, line, 0));
    }
  }

 private:
  Quantization from_;
};

class DequantizeLayer final : public InferenceLayer {
 public:
  explicit DequantizeLayer(const OpSpec& op) : from_(*op.from) {}
  MapShape output(const MapShape& input) const override { return {input.n, input.c, input.h, input.w}; }
  std::unique_ptr<InferenceStep> plan(const MapShape&, std::size_t) const override {
    return std::make_unique<DequantizeStep>(from_);
  }

 private:
  Quantization from_;
};

class QuantizedPoolStep final : public InferenceStep {
 public:
  QuantizedPoolStep(const Quantization& from, const Quantization& to, std::size_t channels)
      : from_(from), to_(to), channels_(channels) {}
  std::size_t scratch_bytes() const override { return channels_ * sizeof(std::int32_t); }
  void run_part(const StepInput& in, const ByteMap& out, std::byte* scratch, const Member& member) const override {
    integer_global_average_part(in.map, from_, out, to_, kernels(), reinterpret_cast<std::int32_t*>(scratch), member);
  }

 private:
  Quantization from_, to_;
  std::size_t channels_;  // with padding
};

class QuantizedPoolLayer final : public InferenceLayer {
 public:
  explicit QuantizedPoolLayer(const OpSpec& op) : from_(*op.from), to_(*op.to) {
    SumStore(from_, to_, false).check({1.0f}, label_of(op));
  }
  MapShape output(const MapShape& input) const override {
    if (checked_mul(input.h, input.w) > kMaxAveragedPixels)
      fail(code::kShape, "expected a global average of at most ", kMaxAveragedPixels, " pixels, received ", input.h,
           " x ", input.w);
    return {input.n, input.c, 1, 1};
  }
  Elements elements() const override { return elements_of(to_); }
  std::unique_ptr<InferenceStep> plan(const MapShape& input, std::size_t) const override {
    return std::make_unique<QuantizedPoolStep>(from_, to_, input.pixel());
  }

 private:
  Quantization from_, to_;
};

}  // namespace

std::unique_ptr<InferenceLayer> make_quantized_layer(const OpSpec& op, const MapShape& input, Algorithm algorithm) {
  if (op.kind == OpKind::kQuantize) return std::make_unique<QuantizeLayer>(op);
  if (op.kind == OpKind::kDequantize) return std::make_unique<DequantizeLayer>(op);
  if (op.kind == OpKind::kQuantizedGlobalAverage) return std::make_unique<QuantizedPoolLayer>(op);
  return make_conv_layer(op, input, algorithm);
}

std::unique_ptr<InferenceLayer> make_quantized_stem_layer(const OpSpec& op, const MapShape& input) {
  check_conv(op, op.conv_shape(input));
  return std::make_unique<QuantizedConvLayer<Stem>>(op, input);
}

}  // namespace qarepvgg
