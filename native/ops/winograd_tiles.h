// Cuts images into Winograd's tiles of four (or, at the end of a side, two) output pixels, and groups tiles into blocks
// that are transformed together. Depends only on shapes.
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
  TileRef tile_at(std::size_t index) const;  // of all images, row by row

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

// Transforms a tile of a map to out[point * point_stride + channel]. patch: memory for the pixels that a whole tile
// reads.
void transform_tile(const WinogradTiles::TileRef& tile, TileSource source, const FeatureMap& map,
                    void (*const (&kernels)[2][2])(const WinogradInput&), float* out, std::size_t point_stride,
                    float* patch);

}  // namespace qarepvgg
