// A batch of images in memory: channels last, channels padded to a multiple of 16, and a halo of zero pixels around
// each image, so that convolution taps need no bounds tests. Padding lanes hold zero.
#pragma once

#include <cstddef>
#include <functional>

#include "base/arena.h"
#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/kernel_table.h"

namespace qarepvgg {

struct MapShape {
  std::size_t n = 0, c = 0, h = 0, w = 0;
  std::size_t halo = 0;

  // Floats from one pixel, row, image to the next.
  std::size_t pixel() const { return round_up(c, kAlignedFloats); }
  std::size_t row() const { return checked_mul(checked_add(w, 2 * halo), pixel()); }
  std::size_t image() const { return checked_mul(checked_add(h, 2 * halo), row()); }
  std::size_t floats() const { return checked_mul(n, image()); }
  // Elements of the same batch as NCHW.
  std::size_t elements() const { return checked_product({n, c, h, w}); }
  bool same_dims(const MapShape& other) const { return n == other.n && c == other.c && h == other.h && w == other.w; }
};

// A view; the arena owns the memory.
struct FeatureMap {
  static constexpr std::size_t element = 1;  // as in a ByteMap: how far pointers move from one element to the next

  float* data = nullptr;  // first halo pixel of image 0
  MapShape shape;

  std::size_t pixel() const { return shape.pixel(); }
  std::size_t row() const { return shape.row(); }
  std::size_t image() const { return shape.image(); }
  // Coordinates are those of the image; -halo .. size + halo - 1 is legal.
  float* at(std::size_t n, std::ptrdiff_t y, std::ptrdiff_t x) const {
    const std::ptrdiff_t halo = static_cast<std::ptrdiff_t>(shape.halo);
    return data + static_cast<std::ptrdiff_t>(n * shape.image()) +
           (y + halo) * static_cast<std::ptrdiff_t>(shape.row()) +
           (x + halo) * static_cast<std::ptrdiff_t>(shape.pixel());
  }
};

// Number of strips in one image [channels][height][width]. A strip is a cache line of channels of one row.
std::size_t strip_count(const MapShape& shape);
// Some strips of the first image of a map, with its padding lanes.
void import_strips(const float* chw, const FeatureMap& map, const KernelTable& kernels, const Tile& strips);
void export_strips(const FeatureMap& map, float* chw, const KernelTable& kernels, const Tile& strips);
// Zeroes `lanes` lanes of so many pixels, `pixel` floats apart.
void clear_lanes(float* first, std::size_t pixels, std::ptrdiff_t pixel, std::size_t lanes);
// Zeroes the padding lanes of rows [first, end), counted through the images.
void clear_padding(const FeatureMap& map, std::size_t first, std::size_t end);
// Zeroes the halo; with `all`, the interior too.
void clear_map(const FeatureMap& map, bool all, int threads);

// Cuts a map into chunks of whole rows of one image, about 32 KiB each, so that a second pass over a chunk finds it in
// the first-level cache. Chunks depend only on the shape, so sums over chunks have the same bits for any number of
// threads.
class RowChunks {
 public:
  explicit RowChunks(const MapShape& shape);

  std::size_t count() const { return shape_.n * chunks_per_image_; }
  std::size_t image(std::size_t chunk) const { return chunk / chunks_per_image_; }
  std::size_t first_row(std::size_t chunk) const { return chunk % chunks_per_image_ * rows_per_chunk_; }
  Region region(std::size_t chunk) const;
  Rows rows(const FeatureMap& map, std::size_t chunk) const;
  MutableRows mutable_rows(const FeatureMap& map, std::size_t chunk) const;

 private:
  MapShape shape_;
  std::size_t rows_per_chunk_, chunks_per_image_;
};

// Called for a chunk of a map right after it was written, while it is in the cache. May be empty.
using ChunkTask = std::function<void(std::size_t chunk)>;

// NCHW -> channels-last; writes the interior only, with its padding lanes. Calls then(chunk) after each chunk of the
// map.
void import_nchw(const float* nchw, const FeatureMap& map, const ChunkTask& then, const KernelTable& kernels,
                 int threads);
// Channels-last -> NCHW.
void export_nchw(const FeatureMap& map, float* nchw, const KernelTable& kernels, int threads);
// The same for one chunk.
void export_chunk(const FeatureMap& map, const RowChunks& chunks, std::size_t chunk, float* nchw,
                  const KernelTable& kernels);

}  // namespace qarepvgg
