#include "ops/repacked_convolution.h"

#include <algorithm>
#include <utility>

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

}  // namespace

RepackedConvolution::RepackedConvolution(const ConvShape& shape, bool gradient, int threads, const KernelTable& kernels)
    : gradient_(gradient), members_(static_cast<std::size_t>(threads)), groups_(shape.groups) {
  if (winograd_pays(shape)) {
    const ConvShape seen = gradient ? turned(shape) : shape;
    winograd_.emplace(seen, FloatWinograd::choose(seen, kernels), 1, kernels);
  } else {
    direct_.emplace(gradient ? FloatConvolution::data_gradient(shape, kernels)
                             : FloatConvolution::forward(shape, kernels));
    direct_->share(direct_->panels(), members_);
  }
}

std::size_t RepackedConvolution::scratch_floats() const {
  return checked_add(bias_offset() + bias_floats(),
                     winograd_ ? checked_mul(members_, member_bytes()) / sizeof(float) : 0);
}

void RepackedConvolution::run(const float* weight, const float* bias, const FeatureMap& in, const FeatureMap& out,
                              ConvOptions options, float* scratch, int team) const {
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

std::size_t RepackedConvolution::bias_offset() const {
  return round_up(direct_ ? direct_->weight_bytes() : winograd_->weight_bytes(), kAlignment) / sizeof(float);
}

ConvolutionWeightGradient::ConvolutionWeightGradient(const ConvShape& shape, int threads, const KernelTable& kernels) {
  if (winograd_gradient_pays(shape))
    winograd_.emplace(shape, threads, kernels);
  else
    direct_.emplace(shape, kernels);
}

std::size_t ConvolutionWeightGradient::workspace_floats() const {
  return winograd_ ? winograd_->workspace_floats() : direct_->workspace_floats();
}

void ConvolutionWeightGradient::run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace,
                                    float* grad_weight, int team) const {
  if (winograd_)
    winograd_->run(in, grad_out, workspace, grad_weight, team);
  else
    direct_->run(in, grad_out, workspace, grad_weight, team);
}

}  // namespace qarepvgg
