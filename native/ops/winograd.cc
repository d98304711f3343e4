#include "ops/winograd.h"

#include <algorithm>

namespace qarepvgg {
namespace {

constexpr std::size_t kPoints = kWinogradPoints, kSide = kWinogradSide, kTaps = 9;  // of the weights

// The transformed input of a block should stay in the second-level cache.
constexpr std::size_t kBlockBytes = 1024 * 1024;

// Input channels whose weights one thread packs at a time.
constexpr std::size_t kPackedDepth = 64;

std::size_t block_limit(const ConvShape& shape) {
  return std::clamp(kBlockBytes / (WinogradTiles::points(shape.stride) * sizeof(float)) / shape.in_c,
                    WinogradTiles::kMinBlockTiles, WinogradTiles::kMaxBlockTiles);
}

constexpr std::size_t kStreamedChannels = 128 * 128, kStreamedPixels = 100;

// The weights along a side that a point uses: with stride 2 the even pixels share the last ones.
std::size_t weight_side(std::size_t side) { return std::min(side, kSide - 1); }

}  // namespace

bool WinogradConvolution::supports(const ConvShape& shape) {
  return shape.kernel == 3 && shape.stride <= 2 && shape.padding == 1 && shape.dilation == 1 &&
         shape.in_c / shape.groups % kAlignedFloats == 0 && shape.out_c / shape.groups % kAlignedFloats == 0;
}

bool WinogradConvolution::pays(const ConvShape& shape) {
  const std::size_t in = shape.in_c / shape.groups, out = shape.out_c / shape.groups;
  const std::size_t pixels = shape.out_h() * shape.out_w();
  // Weights are four times those of the direct form. With many channels they exceed the caches and stream from memory
  // for every image, which takes longer than computing a small map.
  const bool streams = in * out >= kStreamedChannels && pixels < kStreamedPixels;
  if (shape.stride == 1) return in >= 32 && out >= 32 && pixels >= 36 && !streams;
  // With stride 2 the transforms take longer, because maps are four times as large, and weights are still four times
  // those of the direct form.
  return in >= 32 && out >= 96 && pixels >= 196;
}

WinogradConvolution::Weights WinogradConvolution::keeps(const ConvShape& shape) {
  return WinogradTiles::per_image(shape) <= WinogradTiles::kMinBlockTiles ? Weights::kTaps : Weights::kPoints;
}

Panels WinogradConvolution::choose(const ConvShape& shape, const KernelTable& kernels) {
  const std::size_t tiles = std::min(WinogradTiles::per_image(shape), WinogradTiles::kMaxBlockTiles);
  // Prefers wide panels, which read the transformed input less often.
  return choose_panels(shape.out_c / shape.groups, tiles, kernels, 3);
}

WinogradConvolution::WinogradConvolution(const ConvShape& shape, const Panels& panels, std::size_t members,
                                         const KernelTable& kernels, Weights kept)
    : shape_(shape),
      panels_(panels),
      kernels_(&kernels),
      kept_(kept),
      pixel_(shape.in_c),
      tiles_(shape, block_limit(shape), members) {}

std::size_t WinogradConvolution::weight_floats() const {
  const std::size_t each = kept_ == Weights::kPoints ? kPoints : kTaps;
  return checked_product({shape_.groups, each, shape_.in_c / shape_.groups, panels_.padded()});
}

// source_of(group, output channel in the group, input channel in the group) is the place of a kernel in the weights.
// The kernels of neighbouring output channels are `step` floats apart.
template <class SourceOf>
void WinogradConvolution::pack(float* packed, std::size_t step, bool turned, int threads,
                               const SourceOf& source_of) const {
  const std::size_t depth = shape_.in_c / shape_.groups, padded = panels_.padded();
  const std::size_t vectors = ceil_div(panels_.channels, panels_.lanes), cuts = ceil_div(depth, kPackedDepth);
  // Some input channels of a vector of output channels at a time, into [group][panel][point][depth][width]: what is
  // read and written then lies in rows.
  parallel_for(threads, shape_.groups * vectors * cuts, [&](std::size_t item) {
    const Tile part = even_tile(depth, cuts, item % cuts);
    const std::size_t group = item / cuts / vectors, lane = item / cuts % vectors * panels_.lanes;
    const std::size_t panel = lane / panels_.width(), first = panel * panels_.width();
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    WinogradWeights call{nullptr,
                         step,
                         packed + (group * padded + first) * kPoints * depth + lane - first,
                         depth * width,
                         static_cast<int>(panels_.lanes),
                         turned,
                         shape_.stride == 2};
    call.out += part.first * width;
    for (std::size_t k = part.first; k < part.first + part.length; ++k, call.out += width) {
      call.weight = source_of(group, lane, k);
      kernels_->tensor->winograd_weights(call);
    }
  });
}

void WinogradConvolution::pack_weights(const float* weight, float* packed, int threads) const {
  if (kept_ == Weights::kTaps)
    return TapConvolution::forward(shape_, panels_, 1, *kernels_).pack_weights(weight, packed, threads);
  const std::size_t depth = shape_.in_c / shape_.groups;
  pack(packed, depth * kTaps, false, threads, [&](std::size_t group, std::size_t out, std::size_t in) {
    return weight + ((group * panels_.channels + out) * depth + in) * kTaps;
  });
}

void WinogradConvolution::pack_transposed_weights(const float* weight, float* packed, int threads) const {
  const std::size_t depth = shape_.in_c / shape_.groups;
  pack(packed, kTaps, true, threads, [&](std::size_t group, std::size_t out, std::size_t in) {
    return weight + ((group * depth + in) * panels_.channels + out) * kTaps;
  });
}

void WinogradConvolution::pack_bias(const float* bias, float* packed) const { std::copy_n(bias, shape_.out_c, packed); }

std::size_t WinogradConvolution::row_point() const {
  return kept_ == Weights::kPoints ? 0 : shape_.in_c / shape_.groups * panels_.width() + kAlignedFloats;
}

std::size_t WinogradConvolution::v_point() const { return tiles_.largest_block() * pixel_ + kAlignedFloats; }

std::size_t WinogradConvolution::m_point() const { return tiles_.largest_block() * panels_.width() + kAlignedFloats; }

std::size_t WinogradConvolution::scratch_floats() const {
  // The spare cache line keeps the rows of the points out of the same set of the first-level cache.
  const std::size_t patch = points() * std::max(pixel_, panels_.width());
  const std::size_t computed = checked_add(patch, checked_mul(2 * kSide, row_point()));
  return checked_add(checked_mul(points(), checked_add(v_point(), m_point())), checked_add(kAlignedFloats, computed));
}

void WinogradConvolution::run_items(const FeatureMap& in, const float* weights, const float* bias,
                                    const FeatureMap& out, ConvOptions options, float* scratch, const Tile& items,
                                    bool first) const {
  const std::size_t panels = shape_.groups * panels_.count(), last = items.first + items.length;
  HeldBlock held(scratch, first);
  float* v = scratch + kAlignedFloats;
  for (std::size_t item = items.first; item < last;) {
    const std::size_t index = item / panels, end = std::min(last, (index + 1) * panels);
    const Block block = tiles_.block_at(index);
    if (!held.is(index)) transform_block(block, in, v, v + points() * (v_point() + m_point()));
    for (; item < end; ++item) run_panel(block, item % panels, weights, bias, out, options, v);
  }
}

void WinogradConvolution::transform_block(const Block& block, const FeatureMap& in, float* v, float* patch) const {
  for (std::size_t t = 0; t < block.count; ++t)
    transform_tile(block.tiles[t], {shape_.stride, 1}, in, kernels_->winograd_input[shape_.stride - 1], v + t * pixel_,
                   v_point(), patch);
}

void WinogradConvolution::run_panel(const Block& block, std::size_t index, const float* weights, const float* bias,
                                    const FeatureMap& out, ConvOptions options, float* v) const {
  float* m = v + points() * v_point();
  float* patch = m + points() * m_point();
  const std::size_t group = index / panels_.count(), panel = index % panels_.count();
  const std::size_t first = group * panels_.channels + panel * panels_.width();
  const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
  multiply(block, group, panel, v, weights, m, patch + points() * std::max(pixel_, panels_.width()));
  for (std::size_t t = 0; t < block.count; ++t)
    transform_output(block.tiles[t], m + t * width, bias != nullptr ? bias + first : nullptr, first, width, out,
                     options, patch);
}

void WinogradConvolution::multiply(const Block& block, std::size_t group, std::size_t panel, const float* v,
                                   const float* weights, float* m, float* row) const {
  const std::size_t depth = shape_.in_c / shape_.groups;
  const int vectors = panels_.panel_vectors(panel);
  const std::size_t width = static_cast<std::size_t>(vectors) * panels_.lanes;
  const std::size_t most = static_cast<std::size_t>(kernels_->max_rows[vectors - 1]);
  const std::ptrdiff_t tap = 0;
  const bool computes = kept_ == Weights::kTaps;
  weights += (group * panels_.channels + panel * panels_.width()) * (computes ? kTaps : kPoints) * depth;

  ConvTile tile{};
  tile.input_pixel = signed_size(pixel_);
  tile.taps = &tap;
  tile.tap_count = 1;
  tile.depth = depth;
  tile.out_pixel = signed_size(width);
  tile.valid = width;
  const std::size_t side = WinogradTiles::side_points(shape_.stride), count = width * depth;
  const std::size_t next = computes ? count + kAlignedFloats : count;
  std::size_t first_row = 0, rows = 0;  // of the points that are computed
  for (std::size_t point = 0; point < points(); ++point) {
    const Tile range = block.with_point(point);
    if (range.length == 0) continue;
    const std::size_t wanted = weight_side(point / side);
    if (computes && wanted >= first_row + rows) {
      first_row = wanted;
      rows = compute_rows(weights, wanted, count, row);
    }
    tile.weights = (computes ? row : weights) + ((wanted - first_row) * kSide + weight_side(point % side)) * next;
    // Weights stream from memory: each cut prefetches its part of those of the next point; if they are computed, of the
    // next panel's taps.
    const float* ahead = tile.weights + next;
    if (computes && point + kTaps >= points()) ahead = weights + (kTaps + kTaps + point - points()) * count;
    const std::size_t cuts = ceil_div(range.length, most);
    tile.prefetch_step = ceil_div(width, cuts);
    for (std::size_t cut = 0; cut < cuts; ++cut) {
      const Tile part = even_tile(range.length, cuts, cut);
      tile.prefetch = ahead + cut * tile.prefetch_step * depth;
      tile.input = v + point * v_point() + (range.first + part.first) * pixel_ + group * depth;
      tile.out = m + point * m_point() + (range.first + part.first) * width;
      kernels_->conv_prefetch[vectors - 1][part.length - 1](tile);
    }
  }
}

std::size_t WinogradConvolution::compute_rows(const float* taps, std::size_t row, std::size_t count,
                                              float* points) const {
  const int rows = kWinogradRows[shape_.stride - 1][row];
  kernels_->winograd_taps[shape_.stride - 1](
      {taps, signed_size(count), count, static_cast<int>(row), rows, points, signed_size(count + kAlignedFloats)});
  return static_cast<std::size_t>(rows);
}

void WinogradConvolution::transform_output(const TileRef& tile, const float* m, const float* bias, std::size_t channel,
                                           std::size_t width, const FeatureMap& out, ConvOptions options,
                                           float* patch) const {
  const auto start_of = [&](const FeatureMap& map) {
    return map.at(tile.image, signed_size(tile.rows.first), signed_size(tile.columns.first)) + channel;
  };
  const FeatureMap& addend = options.addend_for(out);
  const float* source = options.accumulate ? start_of(addend) : nullptr;
  float* target = start_of(out);
  WinogradOutput call{m,
                      signed_size(m_point()),
                      bias,
                      target,
                      signed_size(out.shape.pixel()),
                      signed_size(out.shape.row()),
                      width,
                      source,
                      signed_size(addend.shape.pixel()),
                      signed_size(addend.shape.row()),
                      options.relu,
                      options.ceiling};
  const std::size_t columns = tile.width();
  if (tile.overhangs()) {
    call.out = patch;
    call.pixel = signed_size(width);
    call.row = signed_size(columns * width);
    if (source != nullptr) {
      for (std::size_t r = 0; r < tile.rows.length; ++r)
        for (std::size_t c = 0; c < tile.columns.length; ++c)
          std::copy_n(source + r * addend.shape.row() + c * addend.shape.pixel(), width,
                      patch + (r * columns + c) * width);
      call.addend = patch;
      call.addend_pixel = call.pixel;
      call.addend_row = call.row;
    }
  }
  kernels_->winograd_output[shape_.stride - 1][tile.rows.is_short][tile.columns.is_short](call);
  if (options.then != nullptr)
    for (std::size_t r = 0; r < tile.rows.length; ++r)
      kernels_->tensor->activate(*options.then, tile.columns.length, width, call.out + signed_size(r) * call.row,
                                 call.pixel);
  // Channels that pad a cache line are computed and dropped.
  const std::size_t valid = std::min(width, out.shape.c - channel);
  if (!tile.overhangs() && valid == width) return;
  for (std::size_t r = 0; r < tile.rows.length; ++r)
    for (std::size_t c = 0; c < tile.columns.length; ++c) {
      float* pixel = target + r * out.shape.row() + c * out.shape.pixel();
      if (tile.overhangs()) std::copy_n(patch + (r * columns + c) * width, width, pixel);
      std::fill(pixel + valid, pixel + width, 0.0f);
    }
}

}  // namespace qarepvgg
