#include "ops/winograd.h"

#include <algorithm>

#include "base/parallel.h"
#include "ops/convolution.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kPoints = kWinogradPoints, kSide = kWinogradSide, kTaps = 9;  // kTaps: of the weights

// The transformed input of a block should stay in the second-level cache, and use it, because every block streams all
// weights.
constexpr std::size_t kBlockBytes = 1024 * 1024;

// Input channels whose weights one thread packs at a time.
constexpr std::size_t kPackedDepth = 64;

constexpr std::size_t kStreamedChannels = 128 * 128, kStreamedPixels = 100;

// So many tiles share the points that a block computes from taps.
constexpr std::size_t kManyTiles = 24;

// Points are computed of so many input channels at a time, so that they and their taps stay in the second-level cache.
constexpr std::size_t kTapDepth = 128;

constexpr std::int64_t kExactBelow = 1 << 25;

std::size_t block_limit(const ConvShape& shape, std::size_t word) {
  return std::clamp(kBlockBytes / (WinogradTiles::points(shape.stride) * word) / shape.in_c,
                    WinogradTiles::kMinBlockTiles, WinogradTiles::kMaxBlockTiles);
}

// The weights along a side that a point uses: with stride 2 the even pixels share the last ones.
std::size_t weight_side(std::size_t side) { return std::min(side, kSide - 1); }

// From one computed point to the next. The spare cache line keeps points out of the same set of the first-level cache.
template <class Word>
std::size_t spaced(std::size_t count) {
  return count + kAlignment / sizeof(Word);
}

}  // namespace

bool is_exact_winograd(const ConvShape& shape, const std::int8_t* weight) {
  const std::size_t terms = shape.weight_elements() / shape.out_c;
  for (std::size_t out = 0; out < shape.out_c; ++out)
    if (largest_sum(weight + out * terms, terms) >= kExactBelow) return false;
  return true;
}

template <class Numbers>
bool Winograd<Numbers>::supports(const ConvShape& shape) {
  return shape.kernel == 3 && shape.stride <= Numbers::kWinogradStrides && shape.padding == 1 && shape.dilation == 1 &&
         shape.in_c / shape.groups % kAlignedFloats == 0 && shape.out_c / shape.groups % kAlignedFloats == 0;
}

template <class Numbers>
bool Winograd<Numbers>::pays(const ConvShape& shape, const Kernels& kernels) {
  const std::size_t in = shape.in_c / shape.groups, out = shape.out_c / shape.groups;
  const std::size_t pixels = shape.out_h() * shape.out_w();
  // Weights are four times those of the direct form. With many channels they exceed the caches and stream from memory
  // for every image, which takes longer than computing a small map.
  const bool streams = in * out >= kStreamedChannels && pixels < kStreamedPixels;
  if (shape.stride == 1)
    return in >= 32 && out >= 32 && pixels >= 36 && !streams && Numbers::winograd_pays(shape, kernels);
  // With stride 2 the transforms take longer, because maps are four times as large, and weights are still four times
  // those of the direct form.
  return in >= 32 && out >= 96 && pixels >= 196;
}

template <class Numbers>
typename Winograd<Numbers>::Weights Winograd<Numbers>::keeps(const ConvShape& shape) {
  const std::size_t tiles = WinogradTiles::per_image(shape);
  const bool pays = tiles >= kManyTiles && tiles <= WinogradTiles::kMinBlockTiles;
  return Numbers::kKeepsTaps && pays ? Weights::kTaps : Weights::kPoints;
}

template <class Numbers>
Panels Winograd<Numbers>::choose(const ConvShape& shape, const Kernels& kernels) {
  const std::size_t tiles = std::min(WinogradTiles::per_image(shape), WinogradTiles::kMaxBlockTiles);
  return choose_panels(shape.out_c / shape.groups, tiles, kernels, Numbers::kWinogradVectors);
}

template <class Numbers>
Winograd<Numbers>::Winograd(const ConvShape& shape, const Panels& panels, std::size_t members, const Kernels& kernels,
                            Weights kept)
    : shape_(shape),
      panels_(panels),
      kernels_(&kernels),
      kept_(kept),
      tiles_(shape, block_limit(shape, sizeof(Word)), members) {}

template <class Numbers>
std::size_t Winograd<Numbers>::weight_bytes() const {
  return checked_product({shape_.groups, kept_numbers(), shape_.in_c / shape_.groups, panels_.padded(), sizeof(Word)});
}

template <class Numbers>
std::size_t Winograd<Numbers>::kept_numbers() const {
  return kept_ == Weights::kPoints ? kPoints : kTaps;
}

// source_of(group, output channel in the group, input channel in the group) is the place of a kernel in the weights.
// The kernels of neighbouring output channels are `step` weights apart.
template <class Numbers>
template <class SourceOf>
void Winograd<Numbers>::pack(Packed* packed, std::size_t step, bool turned, int threads,
                             const SourceOf& source_of) const {
  constexpr std::size_t kStep = Numbers::kStepWords;
  const std::size_t depth = shape_.in_c / shape_.groups, padded = panels_.padded();
  const std::size_t vectors = ceil_div(panels_.channels, panels_.lanes), cuts = ceil_div(depth, kPackedDepth);
  auto* words = reinterpret_cast<Word*>(packed);
  // Some input channels of a vector of output channels at a time, into [group][panel][point][step][lane][word]: what is
  // read and written then lies in rows.
  parallel_for(threads, shape_.groups * vectors * cuts, [&](std::size_t item) {
    const Tile part = even_tile(depth, cuts, item % cuts);
    const std::size_t group = item / cuts / vectors, lane = item / cuts % vectors * panels_.lanes;
    const std::size_t panel = lane / panels_.width(), first = panel * panels_.width();
    const std::size_t width = panels_.panel_width(panel);
    Word* out = words + (group * padded + first) * kPoints * depth + (lane - first) * kStep;
    typename Numbers::WinogradWeights call{
        nullptr, step, nullptr, depth * width, static_cast<int>(panels_.lanes), turned, shape_.stride == 2};
    for (std::size_t k = part.first; k < part.first + part.length; ++k) {
      call.weight = source_of(group, lane, k);
      call.out = out + k / kStep * kStep * width + k % kStep;
      Numbers::transform(*kernels_, call);
    }
  });
}

template <class Numbers>
void Winograd<Numbers>::pack_weights(const Weight* weight, Packed* packed, int threads) const {
  if (kept_ == Weights::kTaps) {
    Convolution<Numbers> direct = Convolution<Numbers>::forward(shape_, *kernels_);
    direct.share(panels_, 1);
    return direct.pack_weights(weight, packed, threads);
  }
  const std::size_t depth = shape_.in_c / shape_.groups;
  pack(packed, depth * kTaps, false, threads, [&](std::size_t group, std::size_t out, std::size_t in) {
    return weight + ((group * panels_.channels + out) * depth + in) * kTaps;
  });
}

template <class Numbers>
void Winograd<Numbers>::pack_transposed_weights(const Weight* weight, Packed* packed, int threads) const {
  const std::size_t depth = shape_.in_c / shape_.groups;
  pack(packed, kTaps, true, threads, [&](std::size_t group, std::size_t out, std::size_t in) {
    return weight + ((group * depth + in) * panels_.channels + out) * kTaps;
  });
}

// The spare cache line keeps the rows of the points out of the same set of the first-level cache.
template <class Numbers>
std::size_t Winograd<Numbers>::v_point() const {
  return tiles_.largest_block() * shape_.in_c + kAlignment / sizeof(Word);
}

template <class Numbers>
std::size_t Winograd<Numbers>::v_block() const {
  return tiles_.largest_block() * Numbers::winograd_block(shape_.in_c);
}

template <class Numbers>
std::size_t Winograd<Numbers>::m_point() const {
  return tiles_.largest_block() * panels_.width() + kAlignment / sizeof(Product);
}

template <class Numbers>
std::size_t Winograd<Numbers>::scratch_bytes() const {
  const std::size_t point = checked_add(v_point() * sizeof(Word), m_point() * sizeof(Product));
  const std::size_t rows = kept_ == Weights::kTaps ? 2 * kSide * spaced<Word>(depth_at_once() * panels_.width()) : 0;
  return checked_add(checked_add(checked_mul(points(), point), patch_bytes() + rows * sizeof(Word)), kAlignment);
}

template <class Numbers>
std::size_t Winograd<Numbers>::depth_at_once() const {
  const std::size_t depth = shape_.in_c / shape_.groups;
  return kept_ == Weights::kTaps ? std::min(depth, kTapDepth) : depth;
}

template <class Numbers>
std::size_t Winograd<Numbers>::patch_bytes() const {
  return points() * std::max(shape_.in_c, panels_.width()) * sizeof(float);
}

template <class Numbers>
void Winograd<Numbers>::run_items(const Map& whole, const Packed* weights, const Output& output, const Map& out,
                                  std::byte* memory, const Tile& items, bool first) const {
  Map in = whole;
  if (whole.shape.h > shape_.in_h) {
    in.shape.h -= 2;
    in.shape.w -= 2;
    ++in.shape.halo;
  }
  const std::size_t panels = shape_.groups * panels_.count(), last = items.first + items.length;
  HeldBlock held(memory, first);
  Word* v = reinterpret_cast<Word*>(memory + kAlignment);
  Product* m = reinterpret_cast<Product*>(v + points() * v_point());
  std::byte* patch = reinterpret_cast<std::byte*>(m + points() * m_point());
  const Scratch scratch{v, m, reinterpret_cast<Packed*>(patch), reinterpret_cast<Word*>(patch + patch_bytes())};
  const auto& kernels = Numbers::winograd(*kernels_, shape_.stride).input;
  const std::size_t lane_block = Numbers::winograd_block(shape_.in_c);
  for (std::size_t item = items.first; item < last;) {
    const std::size_t index = item / panels, end = std::min(last, (index + 1) * panels);
    const Block block = tiles_.block_at(index);
    if (!held.is(index))
      for (std::size_t t = 0; t < block.count; ++t)
        transform_tile(block.tiles[t], {shape_.stride, 1}, in, kernels,
                       Numbers::winograd_input(v + t * lane_block, v_point(), v_block()), scratch.patch);
    for (; item < end; ++item) run_panel(block, item % panels, weights, output, out, scratch);
  }
}

template <class Numbers>
void Winograd<Numbers>::run_panel(const Block& block, std::size_t index, const Packed* weights, const Output& output,
                                  const Map& out, const Scratch& scratch) const {
  const std::size_t group = index / panels_.count(), panel = index % panels_.count();
  // Channels fill their lanes, so this is also the first channel.
  const std::size_t lane = group * panels_.padded() + panel * panels_.width();
  const std::size_t width = panels_.panel_width(panel), depth = shape_.in_c / shape_.groups;
  const Word* words = reinterpret_cast<const Word*>(weights) + lane * kept_numbers() * depth;
  for (std::size_t k = 0; k < depth; k += depth_at_once())
    multiply(block, group, panel, {k, std::min(depth - k, depth_at_once())}, words, scratch);
  for (std::size_t t = 0; t < block.count; ++t)
    transform_output(block.tiles[t], scratch.m + t * width, output, lane, width, out, scratch.patch);
}

template <class Numbers>
void Winograd<Numbers>::multiply(const Block& block, std::size_t group, std::size_t panel, const Tile& channels,
                                 const Word* weights, const Scratch& scratch) const {
  constexpr std::size_t kStep = Numbers::kStepWords;
  const std::size_t depth = shape_.in_c / shape_.groups, steps = channels.length / kStep;
  const std::size_t lane_block = Numbers::winograd_block(shape_.in_c), channel = group * depth + channels.first;
  const Word* v = scratch.v + channel / lane_block * v_block() + channel % lane_block;
  const int vectors = panels_.panel_vectors(panel);
  const auto& kernels = Numbers::products(*kernels_)[vectors - 1];
  const std::size_t width = panels_.panel_width(panel),
                    most = static_cast<std::size_t>(kernels_->max_rows[vectors - 1]);
  auto tile = Numbers::product_tile(lane_block, v_block(), channels.length);
  if constexpr (Numbers::kKeepsTaps) tile.accumulate = channels.first > 0;
  const bool computes = kept_ == Weights::kTaps;
  const std::size_t side = WinogradTiles::side_points(shape_.stride), count = width * channels.length;
  const std::size_t next = computes ? spaced<Word>(count) : count, tap = width * depth;
  weights += width * channels.first;
  // The taps of the channels that follow, or of the next panel.
  const Word* next_taps = weights + (channels.first + channels.length < depth ? count : count + (kTaps - 1) * tap);
  std::size_t first_row = 0, rows = 0;  // of the points that are computed
  for (std::size_t point = 0; point < points(); ++point) {
    const Tile range = block.with_point(point);
    if (range.length == 0) continue;
    const std::size_t row = weight_side(point / side);
    if (computes && row >= first_row + rows) {
      first_row = row;
      rows = compute_rows(weights, tap, row, count, scratch.rows);
    }
    tile.weights = (computes ? scratch.rows : weights) + ((row - first_row) * kSide + weight_side(point % side)) * next;
    const std::size_t cuts = ceil_div(range.length, most), least = range.length / cuts, longer = range.length % cuts;
    // Weights stream from memory: each cut prefetches its part of the next point's weights, or of a quarter of a tap.
    const std::size_t turn = point % kPoints, line = computes ? ceil_div(width, 4) : width;
    const Word* ahead = computes ? next_taps + turn / 4 * tap + turn % 4 * line * steps : tile.weights + next;
    tile.prefetch_step = kStep * ceil_div(line, cuts);
    tile.prefetch = ahead;
    tile.input = v + point * v_point() + range.first * lane_block;
    tile.out = scratch.m + point * m_point() + range.first * width;
    for (std::size_t cut = 0; cut < cuts; ++cut) {
      const std::size_t length = least + (cut < longer);
      kernels[length - 1](tile);
      tile.prefetch += tile.prefetch_step * steps;
      tile.input += length * lane_block;
      tile.out += length * width;
    }
  }
}

template <class Numbers>
std::size_t Winograd<Numbers>::compute_rows(const Word* taps, std::size_t tap, std::size_t row, std::size_t count,
                                            Word* points) const {
  if constexpr (Numbers::kKeepsTaps) {
    const int rows = kWinogradRows[shape_.stride - 1][row];
    Numbers::winograd(*kernels_, shape_.stride)
        .taps({taps, signed_size(tap), count, static_cast<int>(row), rows, points, signed_size(spaced<Word>(count))});
    return static_cast<std::size_t>(rows);
  }
  return 0;
}

template <class Numbers>
void Winograd<Numbers>::transform_output(const TileRef& tile, const Product* m, const Output& output,
                                         std::size_t channel, std::size_t width, const Map& out, Packed* patch) const {
  const std::size_t rows = tile.rows.length, columns = tile.columns.length, length = width * out.element;
  const auto start_of = [&](const Map& map) {
    return map.at(tile.image, signed_size(tile.rows.first), signed_size(tile.columns.first)) + channel * map.element;
  };
  Packed* target = start_of(out);
  const std::ptrdiff_t pixel = signed_size(out.pixel()), row = signed_size(out.row());
  typename Numbers::WinogradOutput call{};
  call.in = m;
  call.point = signed_size(m_point());
  call.out = target;
  call.pixel = pixel;
  call.row = row;
  call.channels = width;
  output.store_by(call, channel);
  if (tile.overhangs()) {
    call.out = patch;
    call.pixel = signed_size(length);
    call.row = signed_size(tile.width() * length);
  }
  if constexpr (Numbers::kAdds) {
    if (output.options.accumulate) {
      const Map& addend = output.addend_for(out);
      call.addend = start_of(addend);
      call.addend_pixel = signed_size(addend.pixel());
      call.addend_row = signed_size(addend.row());
      if (tile.overhangs()) {
        copy_pixels(call.addend, call.addend_row, call.addend_pixel, rows, columns, length, patch, call.row,
                    call.pixel);
        call.addend = patch;
        call.addend_pixel = call.pixel;
        call.addend_row = call.row;
      }
    }
  }
  Numbers::winograd(*kernels_, shape_.stride).output[tile.rows.is_short][tile.columns.is_short](call);
  if (tile.overhangs()) copy_pixels(patch, call.row, call.pixel, rows, columns, length, target, row, pixel);
  // Channels that pad a cache line are computed and dropped.
  const std::size_t valid = std::min(width, out.shape.c - std::min(channel, out.shape.c));
  for (std::size_t r = 0; r < rows; ++r)
    output.finish(*kernels_, target + signed_size(r) * row, columns, pixel, valid, width - valid);
}

template class Winograd<FloatNumbers>;
template class Winograd<IntegerNumbers>;

}  // namespace qarepvgg
