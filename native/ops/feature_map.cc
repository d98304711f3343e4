#include "ops/feature_map.h"

#include <algorithm>
#include <cstring>


namespace qarepvgg {
namespace {

constexpr std::size_t kChunkFloats = 8192;
constexpr std::size_t kTile = 16;

// Calls visit(offset in chw, pixel of the map, channels, pixels) for tiles of at most 16 channels x 16 pixels of a row of
// one image: both sides of the transposition then stay in the first-level cache.
template <class Visit>
void for_each_tile(const FeatureMap& map, std::size_t image, std::size_t y, const Visit& visit) {
  const MapShape& s = map.shape;
  float* pixels = map.at(image, static_cast<std::ptrdiff_t>(y), 0);
  for (std::size_t c = 0; c < s.c; c += kTile)
    for (std::size_t x = 0; x < s.w; x += kTile)
      visit((c * s.h + y) * s.w + x, pixels + x * s.pixel() + c, std::min(kTile, s.c - c), std::min(kTile, s.w - x));
}

void import_row(const float* chw, const FeatureMap& map, std::size_t image, std::size_t y) {
  const std::size_t plane = map.shape.h * map.shape.w, pixel = map.shape.pixel();
  for_each_tile(map, image, y, [&](std::size_t offset, float* out, std::size_t channels, std::size_t pixels) {
    const float* in = chw + offset;
    for (std::size_t x = 0; x < pixels; ++x)
      for (std::size_t c = 0; c < channels; ++c) out[x * pixel + c] = in[c * plane + x];
  });
}

void export_row(const FeatureMap& map, std::size_t image, std::size_t y, float* chw) {
  const std::size_t plane = map.shape.h * map.shape.w, pixel = map.shape.pixel();
  for_each_tile(map, image, y, [&](std::size_t offset, const float* in, std::size_t channels, std::size_t pixels) {
    float* out = chw + offset;
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t x = 0; x < pixels; ++x) out[c * plane + x] = in[x * pixel + c];
  });
}

}  // namespace

void import_nchw(const float* nchw, const FeatureMap& map, int threads) {
  const MapShape& s = map.shape;
  parallel_for(threads, s.n * s.h, [&](std::size_t row) {
    import_row(nchw + row / s.h * s.c * s.h * s.w, map, row / s.h, row % s.h);
  });
}

void export_nchw(const FeatureMap& map, float* nchw, int threads) {
  const MapShape& s = map.shape;
  parallel_for(threads, s.n * s.h, [&](std::size_t row) {
    export_row(map, row / s.h, row % s.h, nchw + row / s.h * s.c * s.h * s.w);
  });
}

void import_image_part(const float* chw, const FeatureMap& map, std::size_t image, const Member& member) {
  for (std::size_t y = member.begin(map.shape.h); y < member.end(map.shape.h); ++y) import_row(chw, map, image, y);
}

void export_image_part(const FeatureMap& map, std::size_t image, float* chw, const Member& member) {
  for (std::size_t y = member.begin(map.shape.h); y < member.end(map.shape.h); ++y) export_row(map, image, y, chw);
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
