#include "ops/weight_gradient.h"

#include <algorithm>

#include "base/parallel.h"

namespace qarepvgg {
namespace {

// So many pixels are summed in registers before the sum is added to memory, which keeps rounding errors of long sums
// small.
constexpr std::size_t kPixelsPerChunk = 256;

}  // namespace

WeightGradient::WeightGradient(const ConvShape& shape, const KernelTable& kernels)
    : shape_(shape),
      kernels_(&kernels),
      panels_(choose_panels(shape.out_c / shape.groups, shape.in_c / shape.groups, kernels)),
      rows_per_chunk_(std::clamp<std::size_t>(kPixelsPerChunk / shape.out_w(), 1, shape.out_h())),
      images_per_chunk_(std::clamp<std::size_t>(kPixelsPerChunk / (shape.out_w() * shape.out_h()), 1, shape.n)) {}

std::size_t WeightGradient::workspace_floats() const {
  return checked_product({shape_.groups, shape_.kernel * shape_.kernel, shape_.in_c / shape_.groups, panels_.padded()});
}

void WeightGradient::run(const FeatureMap& in, const FeatureMap& grad_out, float* workspace, float* grad_weight,
                         int threads) const {
  const std::size_t depth = shape_.in_c / shape_.groups, kernel = shape_.kernel, taps = kernel * kernel;
  const std::size_t panel_count = panels_.count(), padded = panels_.padded();
  const std::size_t out_h = shape_.out_h(), chunks = ceil_div(out_h, rows_per_chunk_);

  // Tiles for full panels; a narrower last panel allows at least as many rows.
  const std::size_t channel_tiles = ceil_div(depth, static_cast<std::size_t>(kernels_->max_rows[panels_.vectors - 1]));

  // Each thread owns some items (group, panel, channel tile, tap). Any thread would sum their pixels in the same order.
  const std::size_t items = shape_.groups * panel_count * channel_tiles * taps;
  parallel_ranges(threads, items, 2 * static_cast<std::size_t>(threads), [&](std::size_t begin, std::size_t end) {
    for (std::size_t step = 0; step < chunks * ceil_div(shape_.n, images_per_chunk_); ++step) {
      const std::size_t image = step / chunks * images_per_chunk_, first_row = step % chunks * rows_per_chunk_;
      for (std::size_t item = begin; item < end; ++item) {
        const std::size_t tap = item % taps;
        const std::size_t channel_tile = item / taps % channel_tiles;
        const std::size_t panel = item / (taps * channel_tiles) % panel_count;
        const std::size_t group = item / (taps * channel_tiles * panel_count);
        const Tile channels = even_tile(depth, channel_tiles, channel_tile);
        const std::ptrdiff_t y =
            signed_size(first_row * shape_.stride + tap / kernel * shape_.dilation) - signed_size(shape_.padding);
        const std::ptrdiff_t x = signed_size(tap % kernel * shape_.dilation) - signed_size(shape_.padding);

        OuterTile tile{};
        tile.input = in.at(image, y, x) + group * depth + channels.first;
        tile.input_pixel = signed_size(shape_.stride * in.shape.pixel());
        tile.input_row = signed_size(shape_.stride * in.shape.row());
        tile.input_image = signed_size(in.shape.image());
        tile.grad = grad_out.at(image, signed_size(first_row), 0) + group * panels_.channels + panel * panels_.width();
        tile.grad_pixel = signed_size(grad_out.shape.pixel());
        tile.grad_row = signed_size(grad_out.shape.row());
        tile.grad_image = signed_size(grad_out.shape.image());
        tile.pixels = shape_.out_w();
        tile.rows = std::min(rows_per_chunk_, out_h - first_row);
        tile.images = std::min(images_per_chunk_, shape_.n - image);
        tile.out = workspace + ((group * taps + tap) * depth + channels.first) * padded + panel * panels_.width();
        tile.out_row = signed_size(padded);
        tile.valid = panels_.valid(panel);
        tile.accumulate = step > 0;
        kernels_->outer[panels_.panel_vectors(panel) - 1][channels.length - 1](tile);
      }
    }
  });

  // Reorders to [out][in][tap], a cache line of output channels at a time.
  const std::size_t lines = ceil_div(panels_.channels, kAlignedFloats);
  parallel_for(threads, shape_.groups * lines, [&](std::size_t item) {
    const std::size_t group = item / lines, first = item % lines * kAlignedFloats;
    const std::size_t lanes = std::min(kAlignedFloats, panels_.channels - first);
    float* target = grad_weight + (group * panels_.channels + first) * depth * taps;
    for (std::size_t k = 0; k < depth; ++k)
      for (std::size_t tap = 0; tap < taps; ++tap) {
        const float* sums = workspace + ((group * taps + tap) * depth + k) * padded + first;
        for (std::size_t lane = 0; lane < lanes; ++lane) target[(lane * depth + k) * taps + tap] += sums[lane];
      }
  });
}

}  // namespace qarepvgg
