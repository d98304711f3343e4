#include "ops/feature_map.h"

#include <algorithm>
#include <cstring>

namespace qarepvgg {
namespace {

constexpr std::size_t kChunkFloats = 8192;
constexpr std::size_t kTile = 16;

// A line is 16 channels (a cache line of every pixel) of one row of one image. Lines are numbered with the row fastest:
// a thread that walks them in order reads and writes few streams of memory.
struct Line {
  std::size_t image, channel, y;
};

std::size_t line_count(const MapShape& s) { return ceil_div(s.c, kTile) * s.h; }

Line line_of(const MapShape& s, std::size_t index) {
  const std::size_t lines = line_count(s);
  return {index / lines, index % lines / s.h * kTile, index % s.h};
}

// Calls visit(offset in chw, pixel of the map, channels, pixels) for tiles of at most 16 pixels of a line: both sides
// of the transposition then stay in the first-level cache.
template <class Visit>
void for_each_tile(const FeatureMap& map, const Line& line, const Visit& visit) {
  const MapShape& s = map.shape;
  float* pixels = map.at(line.image, static_cast<std::ptrdiff_t>(line.y), 0) + line.channel;
  for (std::size_t x = 0; x < s.w; x += kTile)
    visit((line.channel * s.h + line.y) * s.w + x, pixels + x * s.pixel(), std::min(kTile, s.c - line.channel),
          std::min(kTile, s.w - x));
}

void import_line(const float* chw, const FeatureMap& map, const Line& line, const KernelTable& kernels) {
  const auto plane = static_cast<std::ptrdiff_t>(map.shape.h * map.shape.w);
  const auto pixel = static_cast<std::ptrdiff_t>(map.shape.pixel());
  for_each_tile(map, line, [&](std::size_t offset, float* out, std::size_t channels, std::size_t pixels) {
    kernels.transpose(chw + offset, plane, channels, pixels, out, pixel);
  });
}

void export_line(const FeatureMap& map, const Line& line, float* chw, const KernelTable& kernels) {
  const auto plane = static_cast<std::ptrdiff_t>(map.shape.h * map.shape.w);
  const auto pixel = static_cast<std::ptrdiff_t>(map.shape.pixel());
  for_each_tile(map, line, [&](std::size_t offset, const float* in, std::size_t channels, std::size_t pixels) {
    kernels.transpose(in, pixel, pixels, channels, chw + offset, plane);
  });
}

}  // namespace

void import_nchw(const float* nchw, const FeatureMap& map, const KernelTable& kernels, int threads) {
  const MapShape& s = map.shape;
  parallel_for(threads, s.n * line_count(s), [&](std::size_t index) {
    const Line line = line_of(s, index);
    import_line(nchw + line.image * s.c * s.h * s.w, map, line, kernels);
  });
}

void export_nchw(const FeatureMap& map, float* nchw, const KernelTable& kernels, int threads) {
  const MapShape& s = map.shape;
  parallel_for(threads, s.n * line_count(s), [&](std::size_t index) {
    const Line line = line_of(s, index);
    export_line(map, line, nchw + line.image * s.c * s.h * s.w, kernels);
  });
}

void import_image_part(const float* chw, const FeatureMap& map, std::size_t image, const KernelTable& kernels,
                       const Member& member) {
  const std::size_t lines = line_count(map.shape);
  for (std::size_t i = member.begin(lines); i < member.end(lines); ++i)
    import_line(chw, map, line_of(map.shape, image * lines + i), kernels);
}

void export_image_part(const FeatureMap& map, std::size_t image, float* chw, const KernelTable& kernels,
                       const Member& member) {
  const std::size_t lines = line_count(map.shape);
  for (std::size_t i = member.begin(lines); i < member.end(lines); ++i)
    export_line(map, line_of(map.shape, image * lines + i), chw, kernels);
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
