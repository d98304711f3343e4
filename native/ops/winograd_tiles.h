// Cuts images into Winograd's tiles of four (or, at the end of a side, two) output pixels, and groups tiles into blocks
// that are transformed together. Depends only on shapes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "ops/conv_shape.h"

namespace qarepvgg {

class WinogradTiles {
 public:
  static constexpr std::size_t kMaxBlockTiles = 64;
  static constexpr std::size_t kMinBlockTiles = 32;
  // Points of one side, as kernels/kernel_table.h numbers them.
  static constexpr std::size_t side_points(std::size_t stride) { return stride == 1 ? kWinogradSide : kStridedSide; }
  // Points of a whole tile, which reads as many pixels.
  static constexpr std::size_t points(std::size_t stride) { return side_points(stride) * side_points(stride); }

  // Output pixels of a tile along one side: 4 or 2, fewer at an odd border.
  struct Side {
    std::size_t first, length;
    bool is_short;
  };
  struct TileRef {
    std::size_t image;
    Side rows, columns;

    std::size_t height() const { return rows.is_short ? 2 : 4; }
    std::size_t width() const { return columns.is_short ? 2 : 4; }
    // Whether the tile reaches over the border of the image.
    bool overhangs() const { return rows.length < height() || columns.length < width(); }
  };
  // Tiles that are transformed together, ordered so that the tiles that use a point are contiguous. Computed when
  // needed, because a list of all blocks would grow with the images before it is checked that these fit into memory.
  struct Block {
    TileRef tiles[kMaxBlockTiles];
    std::size_t count, stride;
    Tile full_rows, full_columns, full;  // ranges of tiles that have four rows, four columns, both

    // The tiles that use a point.
    Tile with_point(std::size_t point) const;
  };

  // limit: most tiles in a block, up to kMaxBlockTiles. members: size of the team that will share a run.
  WinogradTiles(const ConvShape& shape, std::size_t limit, std::size_t members);
  // Number of tiles in one image.
  static std::size_t per_image(const ConvShape& shape);

  std::size_t blocks() const { return blocks_; }
  std::size_t largest_block() const { return largest_block_; }
  Block block_at(std::size_t index) const;

 private:
  void list(const Tile& range, TileRef* tiles) const;  // of the tiles of all images, row by row

  std::size_t stride_, images_, height_, width_;  // of the output
  std::size_t columns_, per_image_;
  std::size_t cuts_ = 1;  // blocks of one image; if it is 1, a block may be several images
  std::size_t blocks_, largest_block_;
};

// The block whose transformed input a member's scratch holds, stored in the first cache line of the scratch.
class HeldBlock {
 public:
  HeldBlock(void* scratch, bool nothing_yet) : held_(static_cast<std::uint32_t*>(scratch)) {
    if (nothing_yet) *held_ = static_cast<std::uint32_t>(-1);
  }
  // Returns whether it is this block, and sets it to this block.
  bool is(std::size_t index) {
    const std::uint32_t wanted = static_cast<std::uint32_t>(index);
    const bool is_held = *held_ == wanted;
    *held_ = wanted;
    return is_held;
  }

 private:
  std::uint32_t* held_;
};

// How the pixels of a tile map to those of a map.
struct TileSource {
  std::size_t stride;
  // How far beyond these pixels the transform reads: 1 for the input of a convolution, which has that halo, 0 for the
  // gradient of its output.
  std::size_t margin;

  std::size_t pixels(std::size_t length) const { return stride * (length - 1) + 1 + 2 * margin; }
};

// Copies a rectangle of pixels, `length` numbers of each.
template <class T>
void copy_pixels(const T* from, std::ptrdiff_t from_row, std::ptrdiff_t from_pixel, std::size_t rows,
                 std::size_t columns, std::size_t length, T* to, std::ptrdiff_t to_row, std::ptrdiff_t to_pixel) {
  for (std::ptrdiff_t r = 0; r < signed_size(rows); ++r)
    for (std::ptrdiff_t c = 0; c < signed_size(columns); ++c)
      std::copy_n(from + r * from_row + c * from_pixel, length, to + r * to_row + c * to_pixel);
}

// Transforms a tile of a map by one of these kernels. call: where to. patch: memory for the pixels that a whole tile
// reads.
template <class Map, class Input, class Pixel>
void transform_tile(const WinogradTiles::TileRef& tile, TileSource source, const Map& map,
                    void (*const (&kernels)[2][2])(const Input&), Input call, Pixel* patch) {
  const auto first = [&](const WinogradTiles::Side& side) {
    return signed_size(source.stride * side.first) - signed_size(source.margin);
  };
  const std::ptrdiff_t pixel = signed_size(map.pixel());
  call.in = map.at(tile.image, first(tile.rows), first(tile.columns));
  call.pixel = pixel;
  call.row = signed_size(map.row());
  call.channels = map.shape.pixel();
  if (tile.overhangs()) {
    // The tile overhangs the border by more than the margin, where memory holds the next row, not zeros. No output of
    // integers depends on these pixels, but they must be elements in memory that may be read.
    const std::ptrdiff_t row = signed_size(source.pixels(tile.width())) * pixel;
    std::fill_n(patch, signed_size(source.pixels(tile.height())) * row, Pixel{});
    copy_pixels(call.in, call.row, 0, source.pixels(tile.rows.length), 1,
                source.pixels(tile.columns.length) * map.pixel(), patch, row, 0);
    call.in = patch;
    call.row = row;
  }
  kernels[tile.rows.is_short][tile.columns.is_short](call);
}

}  // namespace qarepvgg
