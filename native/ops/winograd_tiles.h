// How images are cut into Winograd's tiles of four (or, at the end of a side, two) output pixels, and these into blocks
// that are transformed together. Depends on shapes alone.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"
#include "ops/convolution.h"
#include "ops/feature_map.h"

namespace qarepvgg {

class WinogradTiles {
 public:
  static constexpr std::size_t kMaxBlockTiles = 64;
  static constexpr std::size_t kMinBlockTiles = 32;
  // What a whole tile reads.
  static constexpr std::size_t kPatchPixels = kWinogradSide * kWinogradSide;

  // Output pixels of a tile: 4 or 2 each way, less at an odd border.
  struct Side {
    std::size_t first, length;
    bool is_short;
  };
  struct TileRef {
    std::size_t image;
    Side rows, columns;

    std::size_t height() const { return rows.is_short ? 2 : 4; }
    std::size_t width() const { return columns.is_short ? 2 : 4; }
    // Over the border of the image.
    bool overhangs() const { return rows.length < height() || columns.length < width(); }
  };
  // Tiles that are transformed together, ordered so that each point is used by one contiguous range of them. Made when
  // it is run: a list of all blocks would grow with the images, before anyone has checked that these fit the memory.
  struct Block {
    TileRef tiles[kMaxBlockTiles];
    std::size_t count;
    Tile full_rows, full_columns, full;  // ranges of tiles that have four rows, four columns, both

    // The tiles that have a point, numbered row * 6 + column.
    Tile with_point(std::size_t point) const;
  };

  // limit: most tiles of a block, at most kMaxBlockTiles. members: size of the team that will share a run.
  WinogradTiles(const ConvShape& shape, std::size_t limit, std::size_t members);
  // Of one image of that shape.
  static std::size_t per_image(const ConvShape& shape);

  std::size_t blocks() const { return blocks_; }
  std::size_t largest_block() const { return largest_block_; }
  Block block_at(std::size_t index) const;

 private:
  TileRef tile_at(std::size_t index) const;  // of all images, row by row

  std::size_t images_, height_, width_;
  std::size_t columns_, per_image_;
  std::size_t cuts_ = 1;  // blocks of one image; with 1, a block may be several images
  std::size_t blocks_, largest_block_;
};

// Takes a tile of a map to the points, out[point * point_stride + channel]. margin: how far the transform reads beyond
// the tile on each side, 1 for the input of a convolution, whose map has that halo, 0 for the gradient of its output.
// patch: room for a tile with its margin.
void transform_tile(const WinogradTiles::TileRef& tile, std::size_t margin, const FeatureMap& map,
                    void (*const (&kernels)[2][2])(const WinogradInput&), float* out, std::size_t point_stride,
                    float* patch);

}  // namespace qarepvgg
