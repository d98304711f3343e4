// How images are cut into Winograd's tiles of four (or, at the end of a side, two) output pixels, and these into blocks
// that are transformed together. Depends on shapes alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "ops/convolution.h"
#include "ops/feature_map.h"

namespace qarepvgg {

class WinogradTiles {
 public:
  static constexpr std::size_t kMaxBlockTiles = 64;
  static constexpr std::size_t kMinBlockTiles = 32;
  // Of a side, as kernels/kernel_table.h numbers them.
  static constexpr std::size_t side_points(std::size_t stride) { return stride == 1 ? kWinogradSide : kStridedSide; }
  // Of a whole tile, which reads as many pixels.
  static constexpr std::size_t points(std::size_t stride) { return side_points(stride) * side_points(stride); }

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
    std::size_t count, stride;
    Tile full_rows, full_columns, full;  // ranges of tiles that have four rows, four columns, both

    // The tiles that have a point.
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

  std::size_t stride_, images_, height_, width_;  // of the output
  std::size_t columns_, per_image_;
  std::size_t cuts_ = 1;  // blocks of one image; with 1, a block may be several images
  std::size_t blocks_, largest_block_;
};

// Which block's transformed input a member's scratch holds, noted in its first cache line.
class HeldBlock {
 public:
  HeldBlock(void* scratch, bool nothing_yet) : held_(static_cast<std::uint32_t*>(scratch)) {
    if (nothing_yet) *held_ = static_cast<std::uint32_t>(-1);
  }
  // Whether it is this one; from now on it is.
  bool is(std::size_t index) {
    const std::uint32_t wanted = static_cast<std::uint32_t>(index);
    const bool is_held = *held_ == wanted;
    *held_ = wanted;
    return is_held;
  }

 private:
  std::uint32_t* held_;
};

// The pixels of a map that belong to those of a tile.
struct TileSource {
  std::size_t stride;
  // How far beyond them the transform reads: 1 for the input of a convolution, whose map has that halo, 0 for the
  // gradient of its output.
  std::size_t margin;

  std::size_t pixels(std::size_t length) const { return stride * (length - 1) + 1 + 2 * margin; }
};

// Takes a tile of a map to the points, out[point * point_stride + channel]. patch: room for what a whole tile reads.
void transform_tile(const WinogradTiles::TileRef& tile, TileSource source, const FeatureMap& map,
                    void (*const (&kernels)[2][2])(const WinogradInput&), float* out, std::size_t point_stride,
                    float* patch);

}  // namespace qarepvgg
