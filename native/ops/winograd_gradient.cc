#include "ops/winograd_gradient.h"

#include <algorithm>

#include "ops/elementwise.h"
#include "ops/numbers.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kPoints = kWinogradPoints, kSide = kWinogradSide, kTaps = 9;

// The transformed tiles of a block should stay in the second-level cache.
constexpr std::size_t kBlockBytes = 512 * 1024;
constexpr std::size_t kMinBlockTiles = 28;
// A chunk of so many tiles is long enough that writing and joining its sums takes a small part of the time.
constexpr std::size_t kMinChunkTiles = 128, kMaxChunks = 8;

std::size_t block_limit(const ConvShape& shape) {
  return std::clamp(kBlockBytes / (kPoints * sizeof(float)) / (shape.in_c + shape.out_c), kMinBlockTiles,
                    WinogradTiles::kMaxBlockTiles);
}

// A power of two, so that teams of two and four share them evenly.
std::size_t chunk_count(std::size_t tiles, std::size_t blocks) {
  std::size_t chunks = 1;
  while (2 * chunks <= std::min(kMaxChunks, blocks) && 2 * chunks * kMinChunkTiles <= tiles) chunks *= 2;
  return chunks;
}

// The transpose of the weight transform (kernels/tensor/winograd.inc), for L output channels side by side.
template <std::size_t L>
void gradient_side(const double (&u)[kSide][L], double (&g)[3][L]) {
  constexpr double kA = 0.70710678118654752440, kB = 1.41421356237309504880;
  for (std::size_t i = 0; i < L; ++i) {
    const double even_a = (u[1][i] + u[2][i]) * (-1 / 1.5), odd_a = (u[1][i] - u[2][i]) * (-1 / 1.5);
    const double even_b = (u[3][i] + u[4][i]) * (1 / 6.0), odd_b = (u[3][i] - u[4][i]) * (1 / 6.0);
    g[0][i] = u[0][i] + even_a + even_b;
    g[1][i] = kA * odd_a + kB * odd_b;
    g[2][i] = 0.5 * even_a + 2.0 * even_b + u[5][i];
  }
}

}  // namespace

WinogradWeightGradient::WinogradWeightGradient(const ConvShape& shape, int threads, const KernelTable& kernels)
    : shape_(shape),
      kernels_(&kernels),
      members_(static_cast<std::size_t>(threads)),
      panels_(choose_panels(shape.out_c / shape.groups, shape.in_c / shape.groups, kernels)),
      tiles_(shape, block_limit(shape), 1),
      chunks_(chunk_count(checked_mul(shape.n, WinogradTiles::per_image(shape)), tiles_.blocks())) {}

std::size_t WinogradWeightGradient::sum_floats() const {
  return checked_product({shape_.groups, kPoints, shape_.in_c / shape_.groups, panels_.padded()});
}

std::size_t WinogradWeightGradient::scratch_floats() const {
  // The spare cache line keeps the rows of the 36 points out of the same set of the first-level cache.
  return checked_add(checked_mul(kPoints, checked_add(input_point(), grad_point())),
                     checked_mul(WinogradTiles::points(1), std::max(shape_.in_c, shape_.out_c)));
}

std::size_t WinogradWeightGradient::workspace_floats() const {
  return checked_add(checked_mul(chunks_, sum_floats()), checked_mul(members_, scratch_floats()));
}

void WinogradWeightGradient::run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight,
                                 int threads) const {
  float *sums = workspace, *scratch = workspace + chunks_ * sum_floats();
  // If there are more members than chunks, several members transform the same tiles, each for some of the points.
  const std::size_t team = static_cast<std::size_t>(threads),
                    parts = std::clamp(team / chunks_, std::size_t{1}, kPoints);
  const std::size_t items = chunks_ * parts;
  parallel_pieces(threads, items, [&](const Piece& piece) {
    const std::size_t chunk = piece.index / parts;
    const Tile blocks = even_tile(tiles_.blocks(), chunks_, chunk),
               points = even_tile(kPoints, parts, piece.index % parts);
    for (std::size_t i = 0; i < blocks.length; ++i)
      sum_block(tiles_.block_at(blocks.first + i), points, in, grad_out, scratch + piece.member * scratch_floats(),
                sums + chunk * sum_floats(), i > 0);
  });
  join(sums, grad_weight, threads);
}

void WinogradWeightGradient::sum_block(const WinogradTiles::Block& block, const Tile& points, const FeatureMap& in,
                                       const FeatureMap& grad_out, float* scratch, float* sums, bool accumulate) const {
  float *input = scratch, *grad = input + kPoints * input_point(), *patch = grad + kPoints * grad_point();
  for (std::size_t t = 0; t < block.count; ++t) {
    // Here a tile's channels are in one piece.
    const auto to = [](float* out, std::size_t point) {
      return FloatNumbers::winograd_input(out, point, kWinogradBlock);
    };
    transform_tile(block.tiles[t], {1, 1}, in, kernels_->winograd.input, to(input + t * shape_.in_c, input_point()),
                   patch);
    transform_tile(block.tiles[t], {1, 0}, grad_out, kernels_->winograd_gradient,
                   to(grad + t * shape_.out_c, grad_point()), patch);
  }

  const std::size_t depth = shape_.in_c / shape_.groups, padded = panels_.padded();
  // Tiles for full panels; a narrower last panel allows at least as many rows.
  const std::size_t channel_tiles = ceil_div(depth, static_cast<std::size_t>(kernels_->max_rows[panels_.vectors - 1]));
  OuterTile tile{};
  tile.input_pixel = signed_size(shape_.in_c);
  tile.grad_pixel = signed_size(shape_.out_c);
  tile.rows = tile.images = 1;
  tile.out_row = signed_size(padded);
  tile.accumulate = accumulate;
  for (std::size_t point = points.first; point < points.first + points.length; ++point) {
    const Tile range = block.with_point(point);
    tile.pixels = range.length;
    for (std::size_t index = 0; index < shape_.groups * panels_.count(); ++index) {
      const std::size_t group = index / panels_.count(), panel = index % panels_.count();
      const float* x = input + point * input_point() + range.first * shape_.in_c + group * depth;
      float* out = sums + (group * kPoints + point) * depth * padded + panel * panels_.width();
      tile.grad =
          grad + point * grad_point() + range.first * shape_.out_c + group * panels_.channels + panel * panels_.width();
      tile.valid = panels_.valid(panel);
      const auto& kernel = kernels_->outer[panels_.panel_vectors(panel) - 1];
      for (std::size_t i = 0; i < channel_tiles; ++i) {
        const Tile channels = even_tile(depth, channel_tiles, i);
        tile.input = x + channels.first;
        tile.out = out + channels.first * padded;
        kernel[channels.length - 1](tile);
      }
    }
  }
}

// Adds up the chunks in order, then transforms the sums to [out][in][tap], a cache line of output channels at a time.
void WinogradWeightGradient::join(float* sums, float* grad_weight, int threads) const {
  constexpr std::size_t kLanes = kAlignedFloats;
  static_assert(kMaxChunks <= kMaxSummands);
  const std::size_t depth = shape_.in_c / shape_.groups, padded = panels_.padded();
  parallel_for(threads, shape_.groups * kPoints, [&](std::size_t item) {
    float* first = sums + item * depth * padded;
    Rows rows[kMaxChunks];
    for (std::size_t chunk = 0; chunk < chunks_; ++chunk) rows[chunk] = {first + chunk * sum_floats(), 0};
    kernels_->add({1, depth, padded}, rows, chunks_, nullptr, {first, 0});
  });
  parallel_for(threads, shape_.groups * depth, [&](std::size_t item) {
    const std::size_t group = item / depth, k = item % depth;
    for (std::size_t first = 0; first < panels_.channels; first += kLanes) {
      double u[kSide][kSide][kLanes], half[kSide][3][kLanes], column[kSide][kLanes], g[3][kLanes];
      for (std::size_t point = 0; point < kPoints; ++point)
        std::copy_n(sums + ((group * kPoints + point) * depth + k) * padded + first, kLanes,
                    u[point / kSide][point % kSide]);
      for (std::size_t row = 0; row < kSide; ++row) gradient_side<kLanes>(u[row], half[row]);
      for (std::size_t x = 0; x < 3; ++x) {
        for (std::size_t row = 0; row < kSide; ++row) std::copy_n(half[row][x], kLanes, column[row]);
        gradient_side<kLanes>(column, g);
        float* target = grad_weight + ((group * panels_.channels + first) * depth + k) * kTaps + x;
        for (std::size_t y = 0; y < 3; ++y)
          for (std::size_t i = 0; i < kLanes; ++i) target[i * depth * kTaps + y * 3] += static_cast<float>(g[y][i]);
      }
    }
  });
}

}  // namespace qarepvgg
