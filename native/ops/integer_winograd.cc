#include "ops/integer_winograd.h"

#include <algorithm>
#include <cstring>

#include "kernels/kernel_table.h"
#include "ops/integer_convolution.h"
#include "ops/winograd.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kPoints = kWinogradPoints, kSide = kWinogradSide, kTaps = 9;
constexpr std::int64_t kExactBelow = 1 << 25;
constexpr std::size_t kFewProducts = 32 * 64, kFewPixels = 12 * 12;

// A block has as many tiles as the second-level cache holds transformed inputs, because every block streams all
// weights.
constexpr std::size_t kBlockBytes = 1024 * 1024;

std::size_t block_limit(std::size_t channels) {
  return std::clamp(kBlockBytes / (kPoints * sizeof(std::int16_t)) / channels, WinogradTiles::kMinBlockTiles,
                    WinogradTiles::kMaxBlockTiles);
}

// The weight transform times 24, the last point only times 12, so that results are at most 12 times the largest weight:
// of both sides together, 16 bits.
void transform_side(int g0, int g1, int g2, int (&u)[kSide]) {
  u[0] = 6 * g0;
  u[1] = -4 * (g0 + g1 + g2);
  u[2] = -4 * (g0 - g1 + g2);
  u[3] = g0 + 2 * g1 + 4 * g2;
  u[4] = g0 - 2 * g1 + 4 * g2;
  u[5] = 12 * g2;
}

// Transforms a 3x3 kernel to out[point].
void transform_weights(const std::int8_t* g, std::int16_t (&out)[kPoints]) {
  int half[3][kSide], u[kSide];
  for (std::size_t x = 0; x < 3; ++x) transform_side(g[x], g[3 + x], g[6 + x], half[x]);
  for (std::size_t p = 0; p < kSide; ++p) {
    transform_side(half[0][p], half[1][p], half[2][p], u);
    for (std::size_t q = 0; q < kSide; ++q) out[p * kSide + q] = static_cast<std::int16_t>(u[q]);
  }
}

}  // namespace

bool IntegerWinograd::supports(const ConvShape& shape) {
  return shape.stride == 1 && WinogradConvolution::supports(shape);
}

bool IntegerWinograd::pays(const ConvShape& shape, const IntegerKernels& kernels) {
  if (!WinogradConvolution::pays(shape)) return false;
  if (kernels.element_bytes > 1) return true;
  // Where the direct form multiplies bytes, four in an instruction, this saves half of the instructions, not three
  // quarters, and its weights are eight times as many bytes. So it needs more channels, among which the transforms are
  // shared, and more pixels, among which the weights are.
  const std::size_t in = shape.in_c / shape.groups, out = shape.out_c / shape.groups;
  return in * out >= kFewProducts && shape.n * shape.out_h() * shape.out_w() >= kFewPixels;
}

bool IntegerWinograd::is_exact(const ConvShape& shape, const std::int8_t* weight) {
  const std::size_t terms = shape.weight_elements() / shape.out_c;
  for (std::size_t out = 0; out < shape.out_c; ++out)
    if (largest_sum(weight + out * terms, terms) >= kExactBelow) return false;
  return true;
}

Panels IntegerWinograd::choose(const ConvShape& shape, const IntegerKernels& kernels) {
  const std::size_t tiles = std::min(WinogradTiles::per_image(shape), WinogradTiles::kMaxBlockTiles);
  // Prefers wide panels, which read the transformed input less often.
  return choose_panels(shape.out_c / shape.groups, tiles, kernels, 3);
}

IntegerWinograd::IntegerWinograd(const ConvShape& shape, const Panels& panels, std::size_t members,
                                 const IntegerKernels& kernels)
    : shape_(shape), panels_(panels), kernels_(&kernels), tiles_(shape, block_limit(shape.in_c), members) {}

std::size_t IntegerWinograd::weight_bytes() const {
  return checked_product({shape_.groups, kPoints, shape_.in_c / shape_.groups, panels_.padded(), sizeof(std::int16_t)});
}

// Packs into [group][panel][point][step][lane][2], one step (two input channels) of one group at a time.
void IntegerWinograd::pack_weights(const std::int8_t* weight, std::byte* packed, int threads) const {
  const std::size_t depth = shape_.in_c / shape_.groups, steps = depth / 2, padded = panels_.padded();
  auto* words = reinterpret_cast<std::int16_t*>(packed);
  parallel_for(threads, shape_.groups * steps, [&](std::size_t item) {
    const std::size_t group = item / steps, step = item % steps;
    for (std::size_t lane = 0; lane < panels_.channels; ++lane) {
      const std::size_t panel = lane / panels_.width(), first = panel * panels_.width();
      const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
      std::int16_t* out = words + (group * padded + first) * kPoints * depth + (step * width + lane - first) * 2;
      for (std::size_t e = 0; e < 2; ++e) {
        std::int16_t u[kPoints];
        transform_weights(weight + ((group * panels_.channels + lane) * depth + 2 * step + e) * kTaps, u);
        for (std::size_t point = 0; point < kPoints; ++point) out[point * depth * width + e] = u[point];
      }
    }
  });
}

// The spare cache line keeps the rows of the 36 points out of the same set of the first-level cache.
std::size_t IntegerWinograd::v_point() const {
  return tiles_.largest_block() * shape_.in_c + kAlignment / sizeof(std::int16_t);
}

std::size_t IntegerWinograd::m_point() const {
  return tiles_.largest_block() * panels_.width() + kAlignment / sizeof(std::int32_t);
}

std::size_t IntegerWinograd::scratch_bytes() const {
  const std::size_t widest = std::max(round_up(shape_.in_c, kAlignment), panels_.width()) * sizeof(float);
  return checked_add(
      checked_mul(kPoints, checked_add(v_point() * sizeof(std::int16_t), m_point() * sizeof(std::int32_t))),
      kAlignment + WinogradTiles::points(1) * widest);
}

void IntegerWinograd::run_items(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                                std::byte* memory, const Tile& items, bool first) const {
  const std::size_t panels = shape_.groups * panels_.count(), last = items.first + items.length;
  HeldBlock held(memory, first);
  auto* v = reinterpret_cast<std::int16_t*>(memory + kAlignment);
  auto* m = reinterpret_cast<std::int32_t*>(v + kPoints * v_point());
  const Scratch scratch{v, m, reinterpret_cast<std::byte*>(m + kPoints * m_point())};
  for (std::size_t item = items.first; item < last;) {
    const std::size_t index = item / panels, end = std::min(last, (index + 1) * panels);
    const Block block = tiles_.block_at(index);
    if (!held.is(index))
      for (std::size_t t = 0; t < block.count; ++t)
        transform_input(block.tiles[t], in, v + t * shape_.in_c, scratch.patch);
    for (; item < end; ++item) run_panel(block, item % panels, weights, sums, out, scratch);
  }
}

void IntegerWinograd::run_panel(const Block& block, std::size_t index, const std::byte* weights, const SumStore& sums,
                                const ByteMap& out, const Scratch& scratch) const {
  const std::size_t depth = shape_.in_c / shape_.groups;
  const std::size_t group = index / panels_.count(), panel = index % panels_.count();
  const std::size_t first = panel * panels_.width(), lane = group * panels_.padded() + first;
  const int vectors = panels_.panel_vectors(panel);
  const std::size_t width = static_cast<std::size_t>(vectors) * panels_.lanes;
  multiply(block, reinterpret_cast<const std::int16_t*>(weights) + lane * kPoints * depth, group, vectors, scratch);
  for (std::size_t t = 0; t < block.count; ++t)
    transform_output(block.tiles[t], scratch.m + t * width, sums, lane, group * panels_.channels + first, width, out,
                     scratch.patch);
}

void IntegerWinograd::multiply(const Block& block, const std::int16_t* weights, std::size_t group, int vectors,
                               const Scratch& scratch) const {
  const std::size_t depth = shape_.in_c / shape_.groups;
  const std::size_t width = static_cast<std::size_t>(vectors) * panels_.lanes, point_words = width * depth;
  const std::size_t most = static_cast<std::size_t>(kernels_->max_rows[vectors - 1]);
  ProductTile tile{};
  tile.input_pixel = signed_size(shape_.in_c);
  tile.steps = depth / 2;
  for (std::size_t point = 0; point < kPoints; ++point, weights += point_words) {
    const Tile range = block.with_point(point);
    if (range.length == 0) continue;
    const std::size_t cuts = ceil_div(range.length, most);
    const std::size_t part_words = point_words / cuts;
    tile.weights = weights;
    // Weights stream from memory: each cut prefetches its part of the next point's weights.
    tile.prefetch_step = 4 * ceil_div(width, cuts);
    for (std::size_t cut = 0; cut < cuts; ++cut) {
      const Tile part = even_tile(range.length, cuts, cut);
      tile.prefetch = reinterpret_cast<const std::byte*>(weights + point_words + cut * part_words);
      tile.input = scratch.v + point * v_point() + (range.first + part.first) * shape_.in_c + group * depth;
      tile.out = scratch.m + point * m_point() + (range.first + part.first) * width;
      kernels_->products[vectors - 1][part.length - 1](tile);
    }
  }
}

void IntegerWinograd::transform_input(const TileRef& tile, const ByteMap& in, std::int16_t* v, std::byte* patch) const {
  const std::ptrdiff_t y = signed_size(tile.rows.first) - 1, x = signed_size(tile.columns.first) - 1;
  IntegerWinogradInput call{
      in.at(tile.image, y, x), signed_size(in.pixel()), signed_size(in.row()), v, signed_size(v_point()), shape_.in_c};
  if (tile.overhangs()) {
    // The tile overhangs the border by more than the halo. No output depends on these pixels, but they must be elements
    // in memory that may be read.
    const std::size_t line = (tile.width() + 2) * in.pixel();
    std::memset(patch, 0, (tile.height() + 2) * line);
    for (std::size_t r = 0; r < tile.rows.length + 2; ++r)
      std::copy_n(call.in + signed_size(r) * call.row, (tile.columns.length + 2) * in.pixel(), patch + r * line);
    call.in = patch;
    call.row = signed_size(line);
  }
  kernels_->winograd_input[tile.rows.is_short][tile.columns.is_short](call);
}

void IntegerWinograd::transform_output(const TileRef& tile, const std::int32_t* m, const SumStore& sums,
                                       std::size_t lane, std::size_t channel, std::size_t width, const ByteMap& out,
                                       std::byte* patch) const {
  std::byte* target =
      out.at(tile.image, signed_size(tile.rows.first), signed_size(tile.columns.first)) + channel * out.element;
  IntegerWinogradOutput call{m,      signed_size(m_point()),   sums.start(lane),       sums.store(lane),
                             target, signed_size(out.pixel()), signed_size(out.row()), width};
  const std::size_t pixel = width * out.element, row = tile.width() * pixel;
  if (tile.overhangs()) {
    call.out = patch;
    call.pixel = signed_size(pixel);
    call.row = signed_size(row);
  }
  kernels_->winograd_output[tile.rows.is_short][tile.columns.is_short](call);
  if (tile.overhangs())
    for (std::size_t r = 0; r < tile.rows.length; ++r)
      for (std::size_t c = 0; c < tile.columns.length; ++c)
        std::copy_n(patch + r * row + c * pixel, pixel, target + r * out.row() + c * out.pixel());
  for (std::size_t r = 0; r < tile.rows.length; ++r)
    sums.finish(*kernels_, target + r * out.row(), tile.columns.length, signed_size(out.pixel()), width);
}

}  // namespace qarepvgg
