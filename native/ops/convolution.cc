#include "ops/convolution.h"

#include <algorithm>

#include "base/parallel.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kMaxTaps = ConvShape::kMaxKernel * ConvShape::kMaxKernel;
constexpr std::size_t kMaxPadding = 1 << 12;
constexpr std::size_t kMaxStride = 128;
constexpr std::size_t kMaxDilation = 1 << 12;

// A block of input rows and a panel of weights share the second-level cache (512 KiB and up on the CPUs meant here).
constexpr std::size_t kBlockBytes = 192 * 1024;
constexpr std::size_t kStreamedBytes = 1024 * 1024;
// Pixels summed in registers before they are added to the gradient in memory: keeps rounding errors of long sums small.
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
  for (const MapShape& map : {MapShape{n, in_c, in_h, in_w}, MapShape{n, out_c, out_h(), out_w()}}) map.elements();
  checked_product({out_c, in_c / groups, kernel, kernel});
}

std::size_t Panels::valid(std::size_t panel) const { return std::min(width(), channels - panel * width()); }

Panels choose_panels(std::size_t channels, std::size_t items, int vector_lanes, const int (&max_rows)[kMaxTileVectors],
                     int preferred) {
  const std::size_t lanes = static_cast<std::size_t>(vector_lanes);
  Panels best{channels, 0, lanes};
  double best_cost = 0;
  // Cycles of one step of a tile: two FMAs and two loads start per cycle, and a chain of FMAs has a latency of four.
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

TapConvolution::TapConvolution(const ConvShape& shape, const KernelTable& kernels, bool transposed)
    : shape_(shape),
      kernels_(&kernels),
      transposed_(transposed),
      product_(is_matrix_product(shape)),
      depth_((transposed ? shape.out_c : shape.in_c) / shape.groups),
      in_step_(transposed ? 1 : shape.stride),
      out_step_(transposed ? shape.stride : 1) {
  for (std::size_t y = 0; y < out_step_; ++y)
    for (std::size_t x = 0; x < out_step_; ++x) add_class(y, x);
  panels_ = choose_panels((transposed ? shape.in_c : shape.out_c) / shape.groups, classes_.front().columns, kernels);
}

TapConvolution TapConvolution::forward(const ConvShape& shape, const KernelTable& kernels) {
  return TapConvolution(shape, kernels, false);
}

TapConvolution TapConvolution::forward(const ConvShape& shape, const Panels& panels, const KernelTable& kernels) {
  TapConvolution plan(shape, kernels, false);
  plan.panels_ = panels;
  return plan;
}

TapConvolution TapConvolution::data_gradient(const ConvShape& shape, const KernelTable& kernels) {
  return TapConvolution(shape, kernels, true);
}

void TapConvolution::add_class(std::size_t y, std::size_t x) {
  const std::size_t height = transposed_ ? shape_.in_h : shape_.out_h();
  const std::size_t width = product_ ? shape_.n : transposed_ ? shape_.in_w : shape_.out_w();
  if (y >= height || x >= width) return;
  Class cls{y, x, ceil_div(height - y, out_step_), ceil_div(width - x, out_step_), taps_.size(), 0};
  const std::ptrdiff_t stride = signed_size(shape_.stride), padding = signed_size(shape_.padding);
  for (std::size_t ky = 0; ky < shape_.kernel; ++ky)
    for (std::size_t kx = 0; kx < shape_.kernel; ++kx) {
      const std::ptrdiff_t down = signed_size(ky * shape_.dilation), right = signed_size(kx * shape_.dilation);
      if (!transposed_) {
        taps_.push_back({ky, kx, down - padding, right - padding});
        continue;
      }
      // Output pixel o reads input pixel o * stride + k * dilation - padding. Solved for o, it is whole only for the
      // taps of this residue class.
      const std::ptrdiff_t dy = signed_size(y) + padding - down, dx = signed_size(x) + padding - right;
      if (dy % stride == 0 && dx % stride == 0) taps_.push_back({ky, kx, dy / stride, dx / stride});
    }
  cls.tap_count = taps_.size() - cls.first_tap;
  classes_.push_back(cls);
}

std::size_t TapConvolution::data_gradient_halo(const ConvShape& shape) {
  if (is_matrix_product(shape)) return 0;
  const TapConvolution plan(shape, kScalarKernels, true);
  std::ptrdiff_t halo = 0;
  for (const Class& cls : plan.classes_)
    for (std::size_t t = cls.first_tap; t < cls.first_tap + cls.tap_count; ++t) {
      const Tap& tap = plan.taps_[t];
      halo = std::max({halo, -tap.dy, -tap.dx, signed_size(cls.rows) + tap.dy - signed_size(shape.out_h()),
                       signed_size(cls.columns) + tap.dx - signed_size(shape.out_w())});
    }
  return static_cast<std::size_t>(halo);
}

std::size_t TapConvolution::weight_floats() const {
  return checked_product({shape_.groups, taps_.size(), depth_, panels_.padded()});
}

std::size_t TapConvolution::bias_floats() const { return checked_mul(shape_.groups, panels_.padded()); }

void TapConvolution::pack_weights(const float* weight, float* packed, int threads) const {
  const std::size_t panel_count = panels_.count(), steps = taps_.size() * depth_;
  const std::size_t taps_total = shape_.kernel * shape_.kernel;
  parallel_for(threads, shape_.groups * panel_count, [&](std::size_t item) {
    const std::size_t group = item / panel_count, panel = item % panel_count;
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    const std::size_t valid = panels_.valid(panel), first = panel * panels_.width();
    float* out = packed + (group * panels_.padded() + first) * steps;
    // Depth outside, taps inside: the source is then read in the order in which it lies in memory.
    for (std::size_t k = 0; k < depth_; ++k)
      for (std::size_t t = 0; t < taps_.size(); ++t) {
        float* lanes = out + (t * depth_ + k) * width;
        const std::size_t tap = taps_[t].ky * shape_.kernel + taps_[t].kx;
        const float* source = weight + tap +
                              (transposed_ ? ((group * depth_ + k) * panels_.channels + first) * taps_total
                                           : ((group * panels_.channels + first) * depth_ + k) * taps_total);
        const std::size_t step = (transposed_ ? 1 : depth_) * taps_total;
        for (std::size_t lane = 0; lane < valid; ++lane) lanes[lane] = source[lane * step];
        std::fill(lanes + valid, lanes + width, 0.0f);
      }
  });
}

void TapConvolution::pack_bias(const float* bias, float* packed) const {
  for (std::size_t group = 0; group < shape_.groups; ++group) {
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
  std::size_t blocks, items;        // blocks: of a class's rows
};

void TapConvolution::run(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                         ConvOptions options, int threads) const {
  for (const Class& cls : classes_) {
    const Pass work = pass(cls, in, weights, bias, out, options, static_cast<std::size_t>(threads));
    parallel_for(threads, work.items, [&](std::size_t item) { run_item(work, item); });
  }
}

void TapConvolution::run_part(const FeatureMap& in, const float* weights, const float* bias, const FeatureMap& out,
                              bool relu, const Member& member) const {
  for (const Class& cls : classes_) {
    const Pass work = pass(cls, in, weights, bias, out, {false, relu}, member.count);
    for (std::size_t item = member.begin(work.items); item < member.end(work.items); ++item) run_item(work, item);
  }
}

TapConvolution::Pass TapConvolution::pass(const Class& cls, const FeatureMap& in, const float* weights,
                                          const float* bias, const FeatureMap& out, ConvOptions options,
                                          std::size_t threads) const {
  Pass pass{cls, in, out, weights, bias, options, {}, in_step_ * in.shape.pixel(), out_step_ * out.shape.pixel(), 0, 0};
  if (product_) {
    pass.in_pixel = in.shape.image();
    pass.out_pixel = out.shape.image();
  }
  for (std::size_t t = 0; t < cls.tap_count; ++t) {
    const Tap& tap = taps_[cls.first_tap + t];
    pass.offsets[t] = tap.dy * signed_size(in.shape.row()) + tap.dx * signed_size(in.shape.pixel());
  }
  // Blocks of rows small enough for the cache, and enough of them for the threads.
  const std::size_t row_bytes = in.shape.row() * in_step_ * sizeof(float);
  const std::size_t parts = (product_ ? 1 : in.shape.n) * shape_.groups * panels_.count();
  pass.blocks = ceil_div(cls.rows, std::max<std::size_t>(1, kBlockBytes / row_bytes));
  if (parts * pass.blocks % threads != 0 && parts * pass.blocks < 8 * threads)
    pass.blocks *= ceil_div(8 * threads, parts * pass.blocks);
  pass.blocks = std::min(pass.blocks, cls.rows);
  pass.items = parts * pass.blocks;
  return pass;
}

// An item is one panel over one block of rows. Panels vary fastest: a block of input rows stays in the cache while all
// panels pass over it.
void TapConvolution::run_item(const Pass& pass, std::size_t item) const {
  const Class& cls = pass.cls;
  const std::size_t panel_count = panels_.count(), steps = taps_.size() * depth_;
  const std::size_t panel = item % panel_count;
  const std::size_t group = item / panel_count % shape_.groups;
  const std::size_t block = item / (panel_count * shape_.groups) % pass.blocks;
  const std::size_t image = item / (panel_count * shape_.groups * pass.blocks);
  const std::size_t first = panel * panels_.width(), padded_first = group * panels_.padded() + first;
  const int vectors = panels_.panel_vectors(panel);
  const std::size_t panel_width = static_cast<std::size_t>(vectors) * panels_.lanes;
  const std::size_t tiles = ceil_div(cls.columns, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
  const Tile rows = even_tile(cls.rows, pass.blocks, block);

  ConvTile tile{};
  tile.input_pixel = signed_size(pass.in_pixel);
  tile.taps = pass.offsets;
  tile.tap_count = cls.tap_count;
  tile.depth = depth_;
  tile.weights = pass.weights + padded_first * steps + cls.first_tap * depth_ * panel_width;
  tile.bias = pass.bias != nullptr ? pass.bias + padded_first : nullptr;
  tile.out_pixel = signed_size(pass.out_pixel);
  tile.valid = panels_.valid(panel);
  tile.accumulate = pass.options.accumulate;
  tile.relu = pass.options.relu;
  // Weights that are too many for the second-level cache, each panel used for one small image: tiles ask for the next
  // panel's. A single row of tiles leaves no time for that.
  const bool streams = pass.blocks == 1 && rows.length > 1 && weight_floats() * sizeof(float) >= kStreamedBytes;
  const auto& kernel = streams ? kernels_->conv_prefetch[vectors - 1] : kernels_->conv[vectors - 1];
  tile.prefetch = tile.weights + steps * panel_width;
  tile.prefetch_step = ceil_div(panel_width, rows.length * tiles);
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    const float* in_row = pass.in.at(image, signed_size(row * in_step_), 0) + group * depth_;
    float* out_row = pass.out.at(image, signed_size(cls.first_y + row * out_step_), signed_size(cls.first_x)) +
                     group * panels_.channels + first;
    for (std::size_t t = 0; t < tiles; ++t) {
      const Tile columns = even_tile(cls.columns, tiles, t);
      tile.input = in_row + signed_size(columns.first) * tile.input_pixel;
      tile.out = out_row + signed_size(columns.first) * tile.out_pixel;
      kernel[columns.length - 1](tile);
      tile.prefetch += tile.prefetch_step * steps;
    }
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

  // Cut for full panels; a narrower last panel allows at least as many rows.
  const std::size_t channel_tiles = ceil_div(depth, static_cast<std::size_t>(kernels_->max_rows[panels_.vectors - 1]));

  // Each thread owns some (group, panel, channel tile, tap) and walks the pixels in the same order as any other would.
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

  // Back to [out][in][tap], a cache line of output channels at a time.
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
