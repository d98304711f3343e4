#include <algorithm>
#include <optional>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/elementwise.h"
#include "ops/weight_gradient.h"
#include "ops/winograd.h"
#include "ops/winograd_gradient.h"
#include "program/train/node.h"

namespace qarepvgg {
namespace {

// With so many pixels per image, Winograd saves more multiplications than transforming the weights in every run costs.
constexpr std::size_t kWinogradPixels = 196;
constexpr std::size_t kWinogradChannels = 32;

bool winograd_pays(const ConvShape& shape) {
  return FloatWinograd::supports(shape) && shape.stride == 1 && shape.in_h * shape.in_w >= kWinogradPixels &&
         shape.in_c / shape.groups >= kWinogradChannels && shape.out_c / shape.groups >= kWinogradChannels;
}

// The weight gradient needs enough tiles for several threads, and sums of a chunk must leave cache for the tiles.
constexpr std::size_t kWinogradGradientTiles = 128;
constexpr std::size_t kWinogradGradientWeights = 192 * 192;

bool winograd_gradient_pays(const ConvShape& shape) {
  return winograd_pays(shape) && shape.n * WinogradTiles::per_image(shape) >= kWinogradGradientTiles &&
         shape.in_c / shape.groups * (shape.out_c / shape.groups) <= kWinogradGradientWeights;
}

// The convolution that computes the gradient of the input from that of the output, for stride 1 and padding 1.
ConvShape turned(ConvShape shape) {
  std::swap(shape.in_c, shape.out_c);
  return shape;
}

// One direction of a convolution, by the best algorithm for its shape. Packs the weights in every run, because they may
// have changed.
class Direction {
 public:
  Direction(const ConvShape& shape, bool gradient, int threads)
      : gradient_(gradient), members_(static_cast<std::size_t>(threads)), groups_(shape.groups) {
    const KernelTable& kernels = active_kernels();
    if (winograd_pays(shape)) {
      const ConvShape seen = gradient ? turned(shape) : shape;
      winograd_.emplace(seen, FloatWinograd::choose(seen, kernels), 1, kernels);
    } else {
      direct_.emplace(gradient ? FloatConvolution::data_gradient(shape, kernels)
                               : FloatConvolution::forward(shape, kernels));
      direct_->share(direct_->panels(), members_);
    }
  }

  std::size_t scratch_floats() const {
    return checked_add(bias_offset() + bias_floats(),
                       winograd_ ? checked_mul(members_, member_bytes()) / sizeof(float) : 0);
  }

  // bias: one per output channel, or null.
  void run(const float* weight, const float* bias, const FeatureMap& in, const FeatureMap& out, ConvOptions options,
           float* scratch, int team) const {
    float* packed_bias = bias != nullptr ? scratch + bias_offset() : nullptr;
    if (bias != nullptr) panels().spread(bias, groups_, packed_bias);
    const auto pack = [&](const auto& plan) {
      gradient_ ? plan.pack_transposed_weights(weight, scratch, team) : plan.pack_weights(weight, scratch, team);
    };
    if (direct_) {
      pack(*direct_);
      direct_->run(in, scratch, {packed_bias, options}, out, team);
      return;
    }
    pack(*winograd_);
    auto* member_scratch = reinterpret_cast<std::byte*>(scratch + bias_offset() + bias_floats());
    const std::size_t items = winograd_->items();
    const std::size_t pieces = std::min(items, kPiecesPerThread * static_cast<std::size_t>(team));
    parallel_pieces(team, pieces, [&](const Piece& piece) {
      winograd_->run_items(in, scratch, {packed_bias, options}, out, member_scratch + piece.member * member_bytes(),
                           even_tile(items, pieces, piece.index), piece.first);
    });
  }

 private:
  const Panels& panels() const { return direct_ ? direct_->panels() : winograd_->panels(); }
  // In floats.
  std::size_t bias_offset() const {
    return round_up(direct_ ? direct_->weight_bytes() : winograd_->weight_bytes(), kAlignment) / sizeof(float);
  }
  std::size_t bias_floats() const { return round_up(checked_mul(groups_, panels().padded()), kAlignedFloats); }
  std::size_t member_bytes() const { return round_up(winograd_->scratch_bytes(), kAlignment); }

  bool gradient_;
  std::size_t members_, groups_;
  std::optional<FloatConvolution> direct_;
  std::optional<FloatWinograd> winograd_;
};

// The gradient of the weights, by the best algorithm for the shape.
class WeightDirection {
 public:
  WeightDirection(const ConvShape& shape, int threads) {
    if (winograd_gradient_pays(shape))
      winograd_.emplace(shape, threads, active_kernels());
    else
      direct_.emplace(shape, active_kernels());
  }

  std::size_t workspace_floats() const {
    return winograd_ ? winograd_->workspace_floats() : direct_->workspace_floats();
  }
  void run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight, int team) const {
    if (winograd_)
      winograd_->run(in, grad_out, workspace, grad_weight, team);
    else
      direct_->run(in, grad_out, workspace, grad_weight, team);
  }

 private:
  std::optional<WeightGradient> direct_;
  std::optional<WinogradWeightGradient> winograd_;
};

// Adds ones to the diagonal of a 1x1 convolution, which then adds its input to its output.
void add_identity(const float* weight, const ConvShape& shape, float* sum) {
  const std::size_t depth = shape.in_c / shape.groups;
  std::copy_n(weight, shape.weight_elements(), sum);
  for (std::size_t out = 0; out < shape.out_c; ++out) sum[out * depth + out % depth] += 1.0f;
}

class ConvNode final : public Node {
 public:
  ConvNode(const OpSpec& spec, const ConvShape& shape, const NodeOptions& options)
      : Node(spec), shape_(shape), forward_(shape, false, options.threads) {
    if (!options.gradients) return;
    data_gradient_.emplace(shape, true, options.threads);
    weight_gradient_.emplace(shape, options.threads);
  }

  std::size_t input_halo() const override { return shape_.padding; }
  std::size_t output_gradient_halo() const override { return FloatConvolution::data_gradient_halo(shape_); }
  bool backward_reads_input() const override { return true; }
  bool may_omit_input_gradient() const override { return true; }
  bool overwrites_output_gradient() const override { return spec_.activation.any(); }
  double work() const override { return shape_.macs() / 8; }

  std::size_t forward_scratch_floats() const override {
    return checked_add(identity_floats(), forward_.scratch_floats());
  }
  std::size_t backward_scratch_floats() const override {
    if (!data_gradient_) return 0;
    const MapShape output{shape_.n, shape_.out_c, shape_.out_h(), shape_.out_w()};
    return std::max({checked_add(identity_floats(), data_gradient_->scratch_floats()),
                     weight_gradient_->workspace_floats(), sum_workspace_floats(output)});
  }

  void forward(const Run& run) override {
    const float* bias = spec_.bias != kNoTensor ? run.state + spec_.bias : nullptr;
    float* scratch = wiring_.forward_scratch;
    forward_.run(weights(run, scratch), bias, x(), y(), {false, spec_.activation.clamp()}, scratch + identity_floats(),
                 run.team(work()));
  }

  void backward(const Run& run) override {
    const int team = run.team(work());
    float* scratch = wiring_.backward_scratch;
    const KernelTable& kernels = active_kernels();
    if (spec_.activation.any()) relu_backward(grad_y(), y(), false, grad_y(), kernels, team);
    if (spec_.bias != kNoTensor) add_channel_sums(grad_y(), scratch, run.gradients + spec_.bias, kernels, team);
    weight_gradient_->run(x(), grad_y(), scratch, run.gradients + spec_.weight, team);
    if (grad_x().data == nullptr) return;
    data_gradient_->run(weights(run, scratch), nullptr, grad_y(), grad_x(), {wiring_.accumulate[0]},
                        scratch + identity_floats(), team);
  }

 private:
  std::size_t identity_floats() const {
    return spec_.identity ? round_up(shape_.weight_elements(), kAlignedFloats) : 0;
  }
  const float* weights(const Run& run, float* scratch) const {
    const float* stored = run.state + spec_.weight;
    if (!spec_.identity) return stored;
    add_identity(stored, shape_, scratch);
    return scratch;
  }

  ConvShape shape_;
  Direction forward_;
  std::optional<Direction> data_gradient_;
  std::optional<WeightDirection> weight_gradient_;
};

}  // namespace

NewNode make_conv_node(const OpSpec& spec, const MapShape& input, const NodeOptions& options) {
  const ConvShape shape{input.n,     input.c,     input.h,      input.w,       spec.out_channels,
                        spec.kernel, spec.stride, spec.padding, spec.dilation, spec.groups};
  shape.validate();
  if (spec.identity && (shape.kernel != 1 || shape.stride != 1 || shape.padding != 0 || shape.in_c != shape.out_c))
    fail(code::kInvalidArg, "expected identity on a 1x1 convolution of stride 1 that keeps the number of channels");
  return {std::make_unique<ConvNode>(spec, shape, options),
          MapShape{shape.n, shape.out_c, shape.out_h(), shape.out_w()}};
}

}  // namespace qarepvgg
