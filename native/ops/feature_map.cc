#include "ops/feature_map.h"

#include <algorithm>
#include <cstring>

namespace qarepvgg {
namespace {

constexpr std::size_t kChunkFloats = 8192;
constexpr std::size_t kTile = 16;

// A strip is 16 channels (a cache line of each pixel) of some rows of one image.
struct Strip {
  std::size_t image, channel, first_row, rows;
};

// Strips of one row. Rows vary fastest, so that a thread that iterates them in order reads and writes few streams of
// memory.
Strip strip_of(const MapShape& s, std::size_t index) { return {0, index / s.h * kTile, index % s.h, 1}; }

// Calls visit(offset in the NCHW batch, pixels of the map, channels, pixels) for each run of pixels that is contiguous
// on both sides of the transposition.
template <class Visit>
void for_each_run(const FeatureMap& map, const Strip& strip, const Visit& visit) {
  const MapShape& s = map.shape;
  const std::size_t rows_per_run = s.halo == 0 ? strip.rows : 1, channels = std::min(kTile, s.c - strip.channel);
  for (std::size_t y = strip.first_row; y < strip.first_row + strip.rows; y += rows_per_run)
    visit(((strip.image * s.c + strip.channel) * s.h + y) * s.w,
          map.at(strip.image, static_cast<std::ptrdiff_t>(y), 0) + strip.channel, channels, rows_per_run * s.w);
}

void import_strip(const float* nchw, const FeatureMap& map, const Strip& strip, const KernelTable& kernels) {
  const auto plane = static_cast<std::ptrdiff_t>(map.shape.h * map.shape.w);
  const auto pixel = static_cast<std::ptrdiff_t>(map.shape.pixel());
  for_each_run(map, strip, [&](std::size_t offset, float* out, std::size_t channels, std::size_t pixels) {
    kernels.transpose(nchw + offset, plane, channels, pixels, out, pixel);
    clear_lanes(out + channels, pixels, pixel, kTile - channels);
  });
}

void export_strip(const FeatureMap& map, const Strip& strip, float* nchw, const KernelTable& kernels) {
  const auto plane = static_cast<std::ptrdiff_t>(map.shape.h * map.shape.w);
  const auto pixel = static_cast<std::ptrdiff_t>(map.shape.pixel());
  for_each_run(map, strip, [&](std::size_t offset, const float* in, std::size_t channels, std::size_t pixels) {
    kernels.transpose(in, pixel, pixels, channels, nchw + offset, plane);
  });
}

template <class Visit>
void for_each_strip(const RowChunks& chunks, std::size_t chunk, std::size_t channels, const Visit& visit) {
  for (std::size_t channel = 0; channel < channels; channel += kTile)
    visit(Strip{chunks.image(chunk), channel, chunks.first_row(chunk), chunks.region(chunk).rows});
}

}  // namespace

void import_nchw(const float* nchw, const FeatureMap& map, const ChunkTask& then, const KernelTable& kernels,
                 int threads) {
  const RowChunks chunks(map.shape);
  parallel_for(threads, chunks.count(), [&](std::size_t chunk) {
    for_each_strip(chunks, chunk, map.shape.c, [&](const Strip& strip) { import_strip(nchw, map, strip, kernels); });
    if (then) then(chunk);
  });
}

void export_chunk(const FeatureMap& map, const RowChunks& chunks, std::size_t chunk, float* nchw,
                  const KernelTable& kernels) {
  for_each_strip(chunks, chunk, map.shape.c, [&](const Strip& strip) { export_strip(map, strip, nchw, kernels); });
}

void export_nchw(const FeatureMap& map, float* nchw, const KernelTable& kernels, int threads) {
  const RowChunks chunks(map.shape);
  parallel_for(threads, chunks.count(), [&](std::size_t chunk) { export_chunk(map, chunks, chunk, nchw, kernels); });
}

std::size_t strip_count(const MapShape& shape) { return ceil_div(shape.c, kTile) * shape.h; }

void import_strips(const float* chw, const FeatureMap& map, const KernelTable& kernels, const Tile& strips) {
  for (std::size_t i = 0; i < strips.length; ++i)
    import_strip(chw, map, strip_of(map.shape, strips.first + i), kernels);
}

void export_strips(const FeatureMap& map, float* chw, const KernelTable& kernels, const Tile& strips) {
  for (std::size_t i = 0; i < strips.length; ++i)
    export_strip(map, strip_of(map.shape, strips.first + i), chw, kernels);
}

void clear_lanes(float* first, std::size_t pixels, std::ptrdiff_t pixel, std::size_t lanes) {
  if (lanes == 0) return;
  for (std::size_t i = 0; i < pixels; ++i, first += pixel) std::fill_n(first, lanes, 0.0f);
}

void clear_padding(const FeatureMap& map, std::size_t first, std::size_t end) {
  const MapShape& shape = map.shape;
  for (std::size_t line = first; line < end; ++line)
    clear_lanes(map.at(line / shape.h, signed_size(line % shape.h), 0) + shape.c, shape.w, signed_size(shape.pixel()),
                shape.pixel() - shape.c);
}

void clear_map(const FeatureMap& map, bool all, int threads) {
  const MapShape& s = map.shape;
  const std::size_t padded = s.h + 2 * s.halo, row_floats = s.row(), side = s.halo * s.pixel();
  if (!all && s.halo == 0) return;
  parallel_for(threads, s.n * padded, [&](std::size_t row) {
    const std::size_t y = row % padded;
    float* start = map.data + row * row_floats;
    if (all || y < s.halo || y >= s.h + s.halo) {
      std::memset(start, 0, row_floats * sizeof(float));
    } else {
      std::memset(start, 0, side * sizeof(float));
      std::memset(start + row_floats - side, 0, side * sizeof(float));
    }
  });
}

RowChunks::RowChunks(const MapShape& shape)
    : shape_(shape),
      rows_per_chunk_(std::clamp<std::size_t>(kChunkFloats / checked_mul(shape.w, shape.pixel()), 1, shape.h)),
      chunks_per_image_(ceil_div(shape.h, rows_per_chunk_)) {}

Region RowChunks::region(std::size_t chunk) const {
  return {std::min(rows_per_chunk_, shape_.h - first_row(chunk)), shape_.w, shape_.pixel()};
}

MutableRows RowChunks::mutable_rows(const FeatureMap& map, std::size_t chunk) const {
  return {map.at(image(chunk), static_cast<std::ptrdiff_t>(first_row(chunk)), 0),
          static_cast<std::ptrdiff_t>(map.shape.row())};
}

Rows RowChunks::rows(const FeatureMap& map, std::size_t chunk) const {
  const MutableRows rows = mutable_rows(map, chunk);
  return {rows.data, rows.row};
}

}  // namespace qarepvgg
