#include "ops/integer_convolution.h"

#include <algorithm>

namespace qarepvgg {
namespace {

// A block of input rows and a panel of weights share the second-level cache, which has at least 512 KiB.
constexpr std::size_t kBlockBytes = 192 * 1024;
constexpr std::size_t kStreamedBytes = 256 * 1024;
// A team shares an image by rows if each member gets at least so many, so that an uneven share costs little.
constexpr std::size_t kRowsPerMember = 8;

}  // namespace

IntegerConvolution::IntegerConvolution(ConvTaps layout, std::size_t groups, const IntegerKernels& kernels)
    : layout_(std::move(layout)),
      groups_(groups),
      kernels_(&kernels),
      depth_(layout_.in.c / groups),
      steps_(ceil_div(depth_, step_elements(kernels))),
      panels_(choose_panels(layout_.out.c / groups, layout_.classes.front().columns, kernels)) {}

IntegerConvolution::IntegerConvolution(const ConvShape& shape, const IntegerKernels& kernels)
    : IntegerConvolution(ConvTaps(shape.input(), shape.output(), shape.window(), false), shape.groups, kernels) {}

IntegerConvolution::IntegerConvolution(const ConvShape& shape, const Panels& panels, std::size_t members,
                                       const IntegerKernels& kernels)
    : IntegerConvolution(shape, kernels) {
  share(panels, members);
}

IntegerConvolution IntegerConvolution::forward(const MapShape& in, std::size_t out_c, std::size_t groups,
                                               const Window& window, const IntegerKernels& kernels) {
  const MapShape out{in.n, out_c, window.y.positions(in.h), window.x.positions(in.w)};
  return IntegerConvolution(ConvTaps(in, out, window, false), groups, kernels);
}

IntegerConvolution IntegerConvolution::transposed(const MapShape& in, const MapShape& out, std::size_t groups,
                                                  const Window& window, const IntegerKernels& kernels) {
  return IntegerConvolution(ConvTaps(in, out, window, true), groups, kernels);
}

std::size_t IntegerConvolution::weight_bytes() const {
  return checked_product({groups_, layout_.taps.size(), steps_, panels_.padded(), kStepBytes});
}

// Packs into [group][panel][tap][step][lane of the panel][element].
void IntegerConvolution::pack_weights(const std::int8_t* weight, std::byte* packed, int threads) const {
  const std::size_t panel_count = panels_.count(), taps = layout_.taps.size(), all = layout_.window.taps();
  const std::size_t elements = step_elements(*kernels_);
  parallel_for(threads, groups_ * panel_count, [&](std::size_t item) {
    const std::size_t group = item / panel_count, panel = item % panel_count;
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    const std::size_t valid = panels_.valid(panel), first = panel * panels_.width();
    const std::int8_t* source = weight + (group * panels_.channels + first) * depth_ * all;
    std::byte* out = packed + (group * panels_.padded() + first) * taps * steps_ * kStepBytes;
    for (const ConvTaps::Tap& tap : layout_.taps) {
      const std::size_t position = tap.ky * layout_.window.x.kernel + tap.kx;
      for (std::size_t step = 0; step < steps_; ++step)
        out = pack_step(
            *kernels_, width,
            [&](std::size_t lane, std::size_t e) {
              const std::size_t k = step * elements + e;
              return lane < valid && k < depth_ ? source[(lane * depth_ + k) * all + position] : std::int8_t{0};
            },
            out);
    }
  });
}

std::vector<std::int8_t> IntegerConvolution::weights_of(std::size_t number,
                                                        const std::vector<std::int8_t>& weight) const {
  const Class& cls = layout_.classes[number];
  const std::size_t all = layout_.window.taps();
  if (cls.tap_count == all) return weight;
  std::vector<std::int8_t> own;
  for (std::size_t first = 0; first < weight.size(); first += all)
    for (std::size_t t = cls.first_tap; t < cls.first_tap + cls.tap_count; ++t)
      own.push_back(weight[first + layout_.taps[t].ky * layout_.window.x.kernel + layout_.taps[t].kx]);
  return own;
}

struct IntegerConvolution::Pass {
  const Class& cls;
  const ByteMap &in, &out;
  const std::byte* weights;
  const SumStore& sums;
  std::ptrdiff_t offsets[ConvTaps::kMaxTaps];
  std::size_t in_pixel, out_pixel;
  std::size_t blocks;  // into which the class's rows are cut
};

std::size_t IntegerConvolution::items() const {
  std::size_t items = 0;
  for (const Class& cls : layout_.classes) items += parts() * row_blocks(cls);
  return items;
}

std::size_t IntegerConvolution::row_blocks(const Class& cls) const {
  const MapShape& in = layout_.in;
  const std::size_t pixel = in.pixel() * static_cast<std::size_t>(kernels_->element_bytes);
  const std::size_t width = in.w + layout_.window.x.before + layout_.window.x.after;
  const std::size_t row_bytes = checked_product({width, pixel, layout_.in_step.y});
  std::size_t blocks = ceil_div(cls.rows, std::max<std::size_t>(1, kBlockBytes / row_bytes));
  // Members that share rows, not panels, never write to the same cache line: a panel of bytes is less than a line.
  if (cls.rows % members_ == 0 || cls.rows >= kRowsPerMember * members_)
    blocks = round_up(blocks, members_);
  else if (parts() * blocks % members_ != 0 && parts() * blocks < 8 * members_)
    blocks *= ceil_div(8 * members_, parts() * blocks);
  return std::min(blocks, cls.rows);
}

void IntegerConvolution::run_items(const ByteMap& in, const std::byte* weights, const SumStore* sums,
                                   const ByteMap& out, const Tile& items) const {
  std::size_t first = items.first, left = items.length;
  for (const Class& cls : layout_.classes) {
    const std::size_t blocks = row_blocks(cls), all = parts() * blocks;
    if (first < all && left > 0) {
      const Pass work = pass(cls, in, weights, *sums, out, blocks);
      for (; left > 0 && first < all; ++first, --left) run_item(work, first);
    }
    first -= std::min(first, all);
    ++sums;
  }
}

IntegerConvolution::Pass IntegerConvolution::pass(const Class& cls, const ByteMap& in, const std::byte* weights,
                                                  const SumStore& sums, const ByteMap& out, std::size_t blocks) const {
  Pass pass{cls, in, out, weights, sums, {}, layout_.in_step.x * in.pixel(), layout_.out_step.x * out.pixel(), blocks};
  if (layout_.product) {
    pass.in_pixel = in.image();
    pass.out_pixel = out.image();
  }
  layout_.offsets(cls, in.row(), in.pixel(), pass.offsets);
  return pass;
}

// Panels vary fastest, so that a block of input rows stays in the cache for all panels.
void IntegerConvolution::run_item(const Pass& pass, std::size_t item) const {
  const Class& cls = pass.cls;
  const std::size_t panel_count = panels_.count();
  const std::size_t panel = item % panel_count;
  const std::size_t group = item / panel_count % groups_;
  const std::size_t block = item / (panel_count * groups_) % pass.blocks;
  const std::size_t image = item / (panel_count * groups_ * pass.blocks);
  const std::size_t first = panel * panels_.width(), lane = group * panels_.padded() + first;
  const int vectors = panels_.panel_vectors(panel);
  const std::size_t tiles = ceil_div(cls.columns, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
  const Tile rows = even_tile(cls.rows, pass.blocks, block);
  const std::size_t width = static_cast<std::size_t>(vectors) * panels_.lanes;

  IntegerTile tile{};
  tile.input_pixel = signed_size(pass.in_pixel);
  tile.taps = pass.offsets;
  tile.tap_count = cls.tap_count;
  tile.steps = steps_;
  tile.weights = pass.weights + (lane * layout_.taps.size() + cls.first_tap * width) * steps_ * kStepBytes;
  tile.start = pass.sums.start(lane);
  tile.store = pass.sums.store(lane);
  tile.out_pixel = signed_size(pass.out_pixel);
  tile.valid = panels_.valid(panel);
  // If the weights do not stay in the second-level cache and each panel is used for one small image, the tiles prefetch
  // the next panel, provided they have enough steps for its cache lines.
  const std::size_t steps = cls.tap_count * steps_;
  const std::size_t lines = steps * width * kStepBytes / kAlignment;
  const bool streams = pass.blocks == 1 && lines <= steps * rows.length * tiles && weight_bytes() >= kStreamedBytes;
  const auto& kernel = streams ? kernels_->conv_prefetch[vectors - 1] : kernels_->conv[vectors - 1];
  tile.prefetch = tile.weights + lines * kAlignment;
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    const std::byte* in_row =
        pass.in.at(image, signed_size(row * layout_.in_step.y), 0) + group * depth_ * pass.in.element;
    std::byte* out_row =
        pass.out.at(image, signed_size(cls.first_y + row * layout_.out_step.y), signed_size(cls.first_x)) +
        (group * panels_.channels + first) * pass.out.element;
    for (std::size_t t = 0; t < tiles; ++t) {
      const Tile columns = even_tile(cls.columns, tiles, t);
      tile.input = in_row + signed_size(columns.first) * tile.input_pixel;
      tile.out = out_row + signed_size(columns.first) * tile.out_pixel;
      kernel[columns.length - 1](tile);
      tile.prefetch += steps * kAlignment;
    }
    pass.sums.finish(*kernels_, out_row, cls.columns, tile.out_pixel, tile.valid);
  }
}

}  // namespace qarepvgg
