#include "ops/winograd_tiles.h"

#include <algorithm>

namespace qarepvgg {
namespace {

// A team shares an image by tiles if each member gets at least so many; otherwise by panels.
constexpr std::size_t kMinTilesPerMember = 20;

// Tiles of four pixels along a side; the last has two if that is enough.
std::size_t side_tiles(std::size_t size) { return ceil_div(size, 4); }

}  // namespace

std::size_t WinogradTiles::per_image(const ConvShape& shape) {
  return checked_mul(side_tiles(shape.out_h()), side_tiles(shape.out_w()));
}

WinogradTiles::WinogradTiles(const ConvShape& shape, std::size_t limit, std::size_t members)
    : stride_(shape.stride),
      images_(shape.n),
      height_(shape.out_h()),
      width_(shape.out_w()),
      columns_(side_tiles(width_)),
      per_image_(per_image(shape)) {
  if (per_image_ > limit / 2) {
    cuts_ = ceil_div(per_image_, limit);
    if (per_image_ / members >= kMinTilesPerMember) cuts_ = round_up(cuts_, members);
    blocks_ = checked_mul(images_, cuts_);
    largest_block_ = ceil_div(per_image_, cuts_);
  } else {
    blocks_ = ceil_div(images_, limit / per_image_);
    largest_block_ = ceil_div(images_, blocks_) * per_image_;
  }
}

Tile WinogradTiles::Block::with_point(std::size_t point) const {
  const auto only_full = [this](std::size_t side) {
    return stride == 1 ? side == 3 || side == 4 : side == 2 || side == 3 || side >= 7;
  };
  const std::size_t side = side_points(stride);
  const bool needs_rows = only_full(point / side), needs_columns = only_full(point % side);
  if (needs_rows) return needs_columns ? full : full_rows;
  return needs_columns ? full_columns : Tile{0, count};
}

void WinogradTiles::list(const Tile& range, TileRef* tiles) const {
  const auto side = [](std::size_t tile, std::size_t size) {
    const std::size_t length = std::min<std::size_t>(4, size - 4 * tile);
    return Side{4 * tile, length, length <= 2};
  };
  const std::size_t first = range.first % per_image_;
  std::size_t image = range.first / per_image_, row = first / columns_, column = first % columns_;
  for (std::size_t t = 0; t < range.length; ++t) {
    tiles[t] = {image, side(row, height_), side(column, width_)};
    if (++column < columns_) continue;
    column = 0;
    if (4 * ++row < height_) continue;
    row = 0;
    ++image;
  }
}

WinogradTiles::Block WinogradTiles::block_at(std::size_t index) const {
  Tile range;  // of the tiles of all images
  if (blocks_ == images_ * cuts_) {
    range = even_tile(per_image_, cuts_, index % cuts_);
    range.first += index / cuts_ * per_image_;
  } else {
    const Tile images = even_tile(images_, blocks_, index);
    range = {images.first * per_image_, images.length * per_image_};
  }
  // Sorted by short rows, full tiles, short columns, both short, so that every range below is contiguous.
  const auto rank = [](const TileRef& tile) {
    if (tile.rows.is_short) return tile.columns.is_short ? 3 : 0;
    return tile.columns.is_short ? 2 : 1;
  };
  TileRef tiles[kMaxBlockTiles];
  list(range, tiles);
  std::size_t counts[4] = {};
  for (std::size_t t = 0; t < range.length; ++t) ++counts[rank(tiles[t])];
  Block block;
  block.count = range.length;
  block.stride = stride_;
  block.full_rows = {counts[0], counts[1] + counts[2]};
  block.full_columns = {0, counts[0] + counts[1]};
  block.full = {counts[0], counts[1]};
  std::size_t next[4] = {0, counts[0], counts[0] + counts[1], counts[0] + counts[1] + counts[2]};
  for (std::size_t t = 0; t < range.length; ++t) block.tiles[next[rank(tiles[t])]++] = tiles[t];
  return block;
}

}  // namespace qarepvgg
