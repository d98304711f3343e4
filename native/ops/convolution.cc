#include "ops/convolution.h"

#include <algorithm>

#include "base/parallel.h"
#include "ops/denormals.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kMaxPadding = 1 << 12;
constexpr std::size_t kMaxStride = 128;
constexpr std::size_t kMaxDilation = 1 << 12;

// A block of input rows and a panel of weights share the second-level cache, which has at least 512 KiB.
constexpr std::size_t kBlockBytes = 192 * 1024;
constexpr std::size_t kStreamedBytes = 1024 * 1024;
// Larger images may exceed the second-level cache together with what else uses it.
constexpr std::size_t kFarBytes = 256 * 1024;
// So many pixels are summed in registers before the sum is added to memory, which keeps rounding errors of long sums
// small.
constexpr std::size_t kPixelsPerChunk = 256;

void check_range(const char* what, std::size_t value, std::size_t low, std::size_t high) {
  if (value < low || value > high)
    fail(code::kInvalidArg, "expected ", what, " from ", low, " to ", high, ", received ", value);
}

}  // namespace

void ConvShape::validate() const {
  check_range("kernel size", kernel, 1, kMaxKernel);
  check_range("stride", stride, 1, kMaxStride);
  check_range("padding", padding, 0, kMaxPadding);
  check_range("dilation", dilation, 1, kMaxDilation);
  if (groups == 0 || in_c % groups != 0 || out_c == 0 || out_c % groups != 0)
    fail(code::kInvalidArg, "expected groups to divide ", in_c, " input and ", out_c, " output channels, received ",
         groups);
  if (checked_add(in_h, 2 * padding) <= reach() || checked_add(in_w, 2 * padding) <= reach())
    fail(code::kShape, "expected an image of at least ", reach() + 1, " pixels a side with its padding, received ",
         in_h, " x ", in_w, " with padding ", padding);
  for (const MapShape& map : {input(), output()}) map.elements();
  checked_product({out_c, in_c / groups, kernel, kernel});
}

std::size_t Panels::valid(std::size_t panel) const { return std::min(width(), channels - panel * width()); }

Panels choose_panels(std::size_t channels, std::size_t items, int vector_lanes, const int (&max_rows)[kMaxTileVectors],
                     int preferred) {
  const std::size_t lanes = static_cast<std::size_t>(vector_lanes);
  Panels best{channels, 0, lanes};
  double best_cost = 0;
  // Estimates the cycles of one step of a tile: two FMAs and two loads start per cycle, and an FMA has a latency of
  // four.
  for (int vectors : {preferred, 5 - preferred, 1}) {
    const Panels panels{channels, vectors, lanes};
    const auto cycles = [&](std::size_t panel) {
      const int nv = panels.panel_vectors(panel);
      const double tiles = static_cast<double>(ceil_div(items, static_cast<std::size_t>(max_rows[nv - 1])));
      const double rows = static_cast<double>(items) / tiles;
      return tiles * std::max({rows * nv / 2, (rows + nv) / 2, 4.0});
    };
    const std::size_t last = panels.count() - 1;
    const double cost = cycles(0) * static_cast<double>(last) + cycles(last);
    if (best.vectors == 0 || cost < best_cost) {
      best = panels;
      best_cost = cost;
    }
  }
  return best;
}

// ---- forward and data gradient -----------------------------------------------------------------------------------

TapConvolution::TapConvolution(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window,
                               bool transposed, const KernelTable& kernels)
    : layout_(in, out, window, transposed),
      groups_(groups),
      kernels_(&kernels),
      depth_(in.c / groups),
      panels_(choose_panels(out.c / groups, layout_.classes.front().columns, kernels)) {}

TapConvolution TapConvolution::forward(const ConvShape& shape, const KernelTable& kernels) {
  return TapConvolution(shape.input(), shape.output(), shape.groups, shape.window(), false, kernels);
}

TapConvolution TapConvolution::forward(const ConvShape& shape, const Panels& panels, std::size_t members,
                                       const KernelTable& kernels) {
  TapConvolution plan = forward(shape, kernels);
  plan.share(panels, members);
  return plan;
}

TapConvolution TapConvolution::data_gradient(const ConvShape& shape, const KernelTable& kernels) {
  return TapConvolution(shape.output(), shape.input(), shape.groups, shape.window(), true, kernels);
}

TapConvolution TapConvolution::forward(const MapShape& in, std::size_t out_c, std::size_t groups, const Window& window,
                                       const KernelTable& kernels) {
  const MapShape out{in.n, out_c, window.y.positions(in.h), window.x.positions(in.w)};
  return TapConvolution(in, out, groups, window, false, kernels);
}

TapConvolution TapConvolution::transposed(const MapShape& in, const MapShape& out, std::size_t groups,
                                          const Window& window, const KernelTable& kernels) {
  return TapConvolution(in, out, groups, window, true, kernels);
}

std::size_t TapConvolution::data_gradient_halo(const ConvShape& shape) {
  return data_gradient(shape, kScalarKernels).halo();
}

std::size_t TapConvolution::weight_floats() const {
  return checked_product({groups_, layout_.taps.size(), depth_, panels_.padded()});
}

std::size_t TapConvolution::bias_floats() const { return checked_mul(groups_, panels_.padded()); }

void TapConvolution::pack_weights(const float* weight, float* packed, int threads) const {
  const std::size_t panel_count = panels_.count(), steps = layout_.taps.size() * depth_;
  const std::size_t taps_total = layout_.window.taps();
  parallel_for(threads, groups_ * panel_count, [&](std::size_t item) {
    const std::size_t group = item / panel_count, panel = item % panel_count;
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    const std::size_t valid = panels_.valid(panel), first = panel * panels_.width();
    float* out = packed + (group * panels_.padded() + first) * steps;
    // The loop over taps is the inner one, so that the source is read in the order of memory.
    for (std::size_t k = 0; k < depth_; ++k)
      for (std::size_t t = 0; t < layout_.taps.size(); ++t) {
        float* lanes = out + (t * depth_ + k) * width;
        const std::size_t tap = layout_.taps[t].ky * layout_.window.x.kernel + layout_.taps[t].kx;
        const float* source = weight + tap +
                              (layout_.transposed ? ((group * depth_ + k) * panels_.channels + first) * taps_total
                                                  : ((group * panels_.channels + first) * depth_ + k) * taps_total);
        const std::size_t step = (layout_.transposed ? 1 : depth_) * taps_total;
        for (std::size_t lane = 0; lane < valid; ++lane) lanes[lane] = without_denormal(source[lane * step]);
        std::fill(lanes + valid, lanes + width, 0.0f);
      }
  });
}

void TapConvolution::pack_bias(const float* bias, float* packed) const {
  for (std::size_t group = 0; group < groups_; ++group) {
    float* out = packed + group * panels_.padded();
    std::copy_n(bias + group * panels_.channels, panels_.channels, out);
    std::fill(out + panels_.channels, out + panels_.padded(), 0.0f);
  }
}

struct TapConvolution::Pass {
  const Class& cls;
  const FeatureMap &in, &out;
  const float *weights, *bias;
  ConvOptions options;
  std::ptrdiff_t offsets[kMaxTaps];
  std::size_t in_pixel, out_pixel;  // from one pixel of a row to the next, in floats
  std::size_t blocks, items;        // blocks: into which the rows of a class are cut
  // The rows of the input that only the next row of outputs reads, relative to the first one that an output reads at
  // tap offset 0. No floats if there is no need to prefetch them.
  std::ptrdiff_t next_first;
  std::size_t next_floats;
};

void TapConvolution::run(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                         ConvOptions options, int threads) const {
  for (const Class& cls : layout_.classes) {
    const Pass work = pass(cls, in, weights, bias, out, options, row_blocks(cls, static_cast<std::size_t>(threads)));
    parallel_for(threads, work.items, [&](std::size_t item) { run_item(work, item); });
  }
}

std::size_t TapConvolution::items() const {
  std::size_t items = 0;
  for (const Class& cls : layout_.classes) items += parts() * row_blocks(cls, members_);
  return items;
}

void TapConvolution::run_items(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                               ConvOptions options, const Tile& items) const {
  std::size_t first = items.first, left = items.length;
  for (const Class& cls : layout_.classes) {
    const std::size_t blocks = row_blocks(cls, members_), all = parts() * blocks;
    if (first < all && left > 0) {
      const Pass work = pass(cls, in, weights, bias, out, options, blocks);
      for (; left > 0 && first < all; ++first, --left) run_item(work, first);
    }
    first -= std::min(first, all);
  }
}

std::size_t TapConvolution::panels_per_item() const {
  return checked_product({layout_.taps.size(), depth_, panels_.padded(), sizeof(float)}) <= kFewBytes ? panels_.count()
                                                                                                      : 1;
}

std::size_t TapConvolution::row_blocks(const Class& cls, std::size_t members) const {
  const std::size_t width = layout_.in.w + layout_.window.x.before + layout_.window.x.after;
  const std::size_t row_bytes = checked_product({width, layout_.in.pixel(), layout_.in_step.y, sizeof(float)});
  if (panels_per_item() > 1) return cls.rows;
  std::size_t blocks = ceil_div(cls.rows, std::max<std::size_t>(1, kBlockBytes / row_bytes));
  // Each block reads all weights again. One block reads them once, but its input for each panel, at worst from memory.
  const std::size_t weights = weight_floats() / groups_ * sizeof(float), image = cls.rows * row_bytes;
  if (weights >= kStreamedBytes && image < kStreamedBytes && panels_.count() * image < (blocks - 1) * weights)
    blocks = 1;
  if (parts() * blocks % members != 0 && parts() * blocks < 8 * members)
    blocks *= ceil_div(8 * members, parts() * blocks);
  return std::min(blocks, cls.rows);
}

TapConvolution::Pass TapConvolution::pass(const Class& cls, const FeatureMap& in, const float* weights,
                                          const float* bias, const FeatureMap& out, ConvOptions options,
                                          std::size_t blocks) const {
  Pass pass{cls,
            in,
            out,
            weights,
            bias,
            options,
            {},
            layout_.in_step.x * in.shape.pixel(),
            layout_.out_step.x * out.shape.pixel(),
            blocks,
            parts() * blocks,
            0,
            0};
  if (layout_.product) {
    pass.in_pixel = in.shape.image();
    pass.out_pixel = out.shape.image();
  }
  layout_.offsets(cls, in.shape.row(), in.shape.pixel(), pass.offsets);
  if (cls.rows > 1 && in.shape.image() * sizeof(float) >= kFarBytes) {
    const ConvTaps::Reach reach = layout_.reach(cls);
    const std::size_t rows = std::min(layout_.in_step.y, static_cast<std::size_t>(reach.last - reach.first) + 1);
    pass.next_first = reach.last + 1 + signed_size(layout_.in_step.y - rows);
    pass.next_floats = rows * in.shape.row();
  }
  return pass;
}

// An item is one panel over one block of rows. Panels vary fastest, so that a block of input rows stays in the cache
// for all panels. If weights are few, an item is all panels of a group, which each tile of pixels uses one after the
// other, so that writes to memory are contiguous.
void TapConvolution::run_item(const Pass& pass, std::size_t item) const {
  const std::size_t per_item = panels_per_item(), sets = panels_.count() / per_item;
  const std::size_t block = item / (sets * groups_) % pass.blocks;
  run_part(pass, item / (sets * groups_ * pass.blocks), item / sets % groups_, item % sets * per_item,
           even_tile(pass.cls.rows, pass.blocks, block));
}

void TapConvolution::run_rows(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                              ConvOptions options, const Tile& rows) const {
  const Pass work = pass(layout_.classes.front(), in, weights, bias, out, options, 1);
  for (std::size_t group = 0; group < groups_; ++group)
    for (std::size_t panel = 0; panel < panels_.count(); panel += panels_per_item())
      run_part(work, 0, group, panel, rows);
}

void TapConvolution::run_part(const Pass& pass, std::size_t image, std::size_t group, std::size_t first_panel,
                              const Tile& rows) const {
  const Class& cls = pass.cls;
  const std::size_t steps = layout_.taps.size() * depth_, per_item = panels_per_item();
  const std::size_t channel = group * panels_.channels + first_panel * panels_.width();
  const std::size_t tiles =
      ceil_div(cls.columns, static_cast<std::size_t>(kernels_->max_rows[panels_.panel_vectors(first_panel) - 1]));

  ConvTile tile{};
  tile.input_pixel = signed_size(pass.in_pixel);
  tile.taps = pass.offsets;
  tile.tap_count = cls.tap_count;
  tile.depth = depth_;
  tile.out_pixel = signed_size(pass.out_pixel);
  const FeatureMap& addend = pass.options.addend_for(pass.out);
  tile.addend_pixel = signed_size(layout_.product ? addend.shape.image() : layout_.out_step.x * addend.shape.pixel());
  tile.relu = pass.options.relu;
  tile.ceiling = pass.options.ceiling;
  // If the weights do not fit the second-level cache and each panel is used for one small image, tiles prefetch the
  // next panel. A single row of tiles leaves no time for that. Otherwise the first panel prefetches input.
  const bool streams = pass.blocks == 1 && rows.length > 1 && weight_floats() * sizeof(float) >= kStreamedBytes;
  const bool looks_ahead = !streams && group == 0 && first_panel == 0 && pass.next_floats > 0;
  const std::size_t class_steps = cls.tap_count * depth_;
  const std::size_t panel_width = static_cast<std::size_t>(panels_.panel_vectors(first_panel)) * panels_.lanes;
  tile.prefetch = pass.weights + (group * panels_.padded() + first_panel * panels_.width()) * steps +
                  cls.first_tap * depth_ * panel_width + steps * panel_width;
  tile.prefetch_step =
      looks_ahead ? ceil_div(pass.next_floats, tiles * class_steps) : ceil_div(panel_width, rows.length * tiles);
  // The last channels of a pixel are followed by its padding lanes. Tiles clear those that their vectors cover.
  const bool is_last = group + 1 == groups_ && first_panel + per_item == panels_.count();
  const std::size_t pixel = pass.out.shape.pixel(), covered = group * panels_.channels + panels_.padded();
  tile.pads = is_last && covered <= pixel;
  const std::size_t padding = tile.pads ? covered : pass.out.shape.c;
  const std::size_t least = cls.columns / tiles, longer = cls.columns % tiles;  // tiles of even lengths
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    const std::ptrdiff_t out_y = signed_size(cls.first_y + row * layout_.out_step.y), out_x = signed_size(cls.first_x);
    const float* in_row = pass.in.at(image, signed_size(row * layout_.in_step.y), 0) + group * depth_;
    float* out_row = pass.out.at(image, out_y, out_x) + channel;
    const float* addend_row = addend.at(image, out_y, out_x) + channel;
    if (looks_ahead) tile.prefetch = pass.in.at(image, signed_size(row * layout_.in_step.y) + pass.next_first, 0);
    Tile columns{0, 0};
    for (std::size_t t = 0; t < tiles; ++t, columns.first += columns.length) {
      columns.length = least + (t < longer);
      tile.input = in_row + signed_size(columns.first) * tile.input_pixel;
      for (std::size_t panel = first_panel; panel < first_panel + per_item; ++panel) {
        const std::size_t lane = panel * panels_.width(), skipped = lane - first_panel * panels_.width();
        const std::size_t padded = group * panels_.padded() + lane;
        const int vectors = panels_.panel_vectors(panel);
        tile.weights =
            pass.weights + padded * steps + cls.first_tap * depth_ * static_cast<std::size_t>(vectors) * panels_.lanes;
        tile.bias = pass.bias != nullptr ? pass.bias + padded : nullptr;
        tile.valid = panels_.valid(panel);
        tile.out = out_row + signed_size(columns.first) * tile.out_pixel + skipped;
        if (pass.options.accumulate)
          tile.addend = addend_row + signed_size(columns.first) * tile.addend_pixel + skipped;
        const bool prefetches = streams || (looks_ahead && panel == first_panel);
        (prefetches ? kernels_->conv_prefetch : kernels_->conv)[vectors - 1][columns.length - 1](tile);
      }
      tile.prefetch += tile.prefetch_step * class_steps;
    }
    if (pass.options.then != nullptr) {
      const std::size_t lanes = std::min(per_item * panels_.width(), panels_.channels - first_panel * panels_.width());
      kernels_->tensor->activate(*pass.options.then, cls.columns, lanes, out_row, tile.out_pixel);
    }
    if (is_last) clear_lanes(pass.out.at(image, out_y, out_x) + padding, cls.columns, tile.out_pixel, pixel - padding);
  }
}

// ---- weight gradient ---------------------------------------------------------------------------------------------

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
