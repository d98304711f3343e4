#include "ops/feature_map.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kChunkFloats = 8192;
constexpr std::size_t kTile = 16;

// Calls visit(nchw_plane, map_pixel, stride, channels, pixels) for tiles of at most 16 channels x 16 pixels of a row:
// both sides of the transposition then stay in the first-level cache.
template <class Visit>
void for_each_tile(const FeatureMap& map, std::size_t row, const Visit& visit) {
  const MapShape& s = map.shape;
  const std::size_t n = row / s.h, y = row % s.h, plane = s.h * s.w;
  float* pixels = map.at(n, static_cast<std::ptrdiff_t>(y), 0);
  const std::size_t source = n * s.c * plane + y * s.w;
  for (std::size_t c = 0; c < s.c; c += kTile)
    for (std::size_t x = 0; x < s.w; x += kTile)
      visit(source + c * plane + x, pixels + x * s.pixel() + c, std::min(kTile, s.c - c), std::min(kTile, s.w - x));
}

}  // namespace

void import_nchw(const float* nchw, const FeatureMap& map, int threads) {
  const std::size_t plane = map.shape.h * map.shape.w, pixel = map.shape.pixel();
  parallel_for(threads, map.shape.n * map.shape.h, [&](std::size_t row) {
    for_each_tile(map, row, [&](std::size_t source, float* out, std::size_t channels, std::size_t pixels) {
      const float* in = nchw + source;
      for (std::size_t x = 0; x < pixels; ++x)
        for (std::size_t c = 0; c < channels; ++c) out[x * pixel + c] = in[c * plane + x];
    });
  });
}

void export_nchw(const FeatureMap& map, float* nchw, int threads) {
  const std::size_t plane = map.shape.h * map.shape.w, pixel = map.shape.pixel();
  parallel_for(threads, map.shape.n * map.shape.h, [&](std::size_t row) {
    for_each_tile(map, row, [&](std::size_t target, const float* in, std::size_t channels, std::size_t pixels) {
      float* out = nchw + target;
      for (std::size_t c = 0; c < channels; ++c)
        for (std::size_t x = 0; x < pixels; ++x) out[c * plane + x] = in[x * pixel + c];
    });
  });
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
  const std::size_t first = chunk % chunks_per_image_ * rows_per_chunk_;
  return {std::min(rows_per_chunk_, shape_.h - first), shape_.w, shape_.pixel()};
}

MutableRows RowChunks::mutable_rows(const FeatureMap& map, std::size_t chunk) const {
  const std::size_t first = chunk % chunks_per_image_ * rows_per_chunk_;
  return {map.at(chunk / chunks_per_image_, static_cast<std::ptrdiff_t>(first), 0),
          static_cast<std::ptrdiff_t>(map.shape.row())};
}

Rows RowChunks::rows(const FeatureMap& map, std::size_t chunk) const {
  const MutableRows rows = mutable_rows(map, chunk);
  return {rows.data, rows.row};
}

}  // namespace qarepvgg
