#include "ops/convolution.h"

#include <algorithm>

namespace qarepvgg {
namespace {

// A block of input rows and a panel of weights share the second-level cache, which has at least 512 KiB.
constexpr std::size_t kBlockBytes = 192 * 1024;
// A team shares an image by rows if each member gets at least so many, so that an uneven share costs little.
constexpr std::size_t kRowsPerMember = 8;

}  // namespace

template <class Numbers>
Convolution<Numbers>::Convolution(const MapShape& in, const MapShape& out, std::size_t groups, const Window& window,
                                  bool transposed, const Kernels& kernels)
    : layout_(in, out, window, transposed),
      groups_(groups),
      kernels_(&kernels),
      depth_(in.c / groups),
      steps_(ceil_div(depth_, Numbers::step_elements(kernels))),
      panels_(choose_panels(out.c / groups, layout_.classes.front().columns, kernels)) {}

template <class Numbers>
Convolution<Numbers> Convolution<Numbers>::forward(const MapShape& in, std::size_t out_c, std::size_t groups,
                                                   const Window& window, const Kernels& kernels) {
  const MapShape out{in.n, out_c, window.y.positions(in.h), window.x.positions(in.w)};
  return Convolution(in, out, groups, window, false, kernels);
}

template <class Numbers>
Convolution<Numbers> Convolution<Numbers>::forward(const ConvShape& shape, const Kernels& kernels) {
  return Convolution(shape.input(), shape.output(), shape.groups, shape.window(), false, kernels);
}

template <class Numbers>
Convolution<Numbers> Convolution<Numbers>::transposed(const MapShape& in, const MapShape& out, std::size_t groups,
                                                      const Window& window, const Kernels& kernels) {
  return Convolution(in, out, groups, window, true, kernels);
}

template <class Numbers>
Convolution<Numbers> Convolution<Numbers>::data_gradient(const ConvShape& shape, const Kernels& kernels) {
  return Convolution(shape.output(), shape.input(), shape.groups, shape.window(), true, kernels);
}

template <class Numbers>
std::size_t Convolution<Numbers>::data_gradient_halo(const ConvShape& shape) {
  return ConvTaps(shape.output(), shape.input(), shape.window(), true).halo();
}

template <class Numbers>
std::size_t Convolution<Numbers>::weight_bytes() const {
  return checked_product({groups_, layout_.taps.size(), steps_, panels_.padded(), kStepBytes});
}

template <class Numbers>
void Convolution<Numbers>::pack_weights(const Weight* weight, Packed* packed, int threads) const {
  pack(weight, packed, false, threads);
}

template <class Numbers>
void Convolution<Numbers>::pack_transposed_weights(const Weight* weight, Packed* packed, int threads) const {
  pack(weight, packed, true, threads);
}

// Packs into [group][panel][tap][step][lane of the panel][element].
template <class Numbers>
void Convolution<Numbers>::pack(const Weight* weight, Packed* packed, bool transposed, int threads) const {
  const std::size_t panel_count = panels_.count(), taps = layout_.taps.size(), all = layout_.window.taps();
  const std::size_t elements = Numbers::step_elements(*kernels_);
  const std::size_t next_lane = (transposed ? 1 : depth_) * all, next_k = (transposed ? panels_.channels : 1) * all;
  parallel_for(threads, groups_ * panel_count, [&](std::size_t item) {
    const std::size_t group = item / panel_count, panel = item % panel_count;
    const std::size_t width = panels_.panel_width(panel), valid = panels_.valid(panel);
    const std::size_t first = panel * panels_.width();
    const Weight* panel_weight = weight + group * panels_.channels * depth_ * all + first * next_lane;
    Packed* out = packed + (group * panels_.padded() + first) * taps * steps_ * Numbers::kLane;
    // The loop over taps is the inner one, so that the source is read in the order of memory.
    for (std::size_t step = 0; step < steps_; ++step)
      for (std::size_t t = 0; t < taps; ++t) {
        const std::size_t tap = layout_.taps[t].ky * layout_.window.x.kernel + layout_.taps[t].kx;
        const std::size_t count = std::min(elements, depth_ - step * elements);
        Numbers::pack_step(*kernels_, panel_weight + step * elements * next_k + tap, {valid, next_lane},
                           {count, next_k}, width, out + (t * steps_ + step) * width * Numbers::kLane);
      }
  });
}

template <class Numbers>
std::vector<typename Numbers::Weight> Convolution<Numbers>::weights_of(std::size_t number,
                                                                       const std::vector<Weight>& weight) const {
  const Class& cls = layout_.classes[number];
  const std::size_t all = layout_.window.taps();
  if (cls.tap_count == all) return weight;
  std::vector<Weight> own;
  for (std::size_t first = 0; first < weight.size(); first += all)
    for (std::size_t t = cls.first_tap; t < cls.first_tap + cls.tap_count; ++t)
      own.push_back(weight[first + layout_.taps[t].ky * layout_.window.x.kernel + layout_.taps[t].kx]);
  return own;
}

template <class Numbers>
struct Convolution<Numbers>::Pass {
  const Class& cls;
  const Map &in, &out;
  const Packed* weights;
  const Output& output;
  std::ptrdiff_t offsets[ConvTaps::kMaxTaps];
  std::size_t blocks;  // into which the rows of the class are cut
  // The rows of the input that only the next row of outputs reads, relative to the first one that an output reads at
  // tap offset 0. Nothing if there is no need to prefetch them.
  std::ptrdiff_t next_first;
  std::size_t next_length;
};

template <class Numbers>
std::size_t Convolution<Numbers>::items() const {
  std::size_t items = 0;
  for (const Class& cls : layout_.classes) items += parts() * row_blocks(cls);
  return items;
}

template <class Numbers>
void Convolution<Numbers>::run(const Map& in, const Packed* weights, const Output& output, const Map& out,
                               int threads) const {
  parallel_ranges(
      threads, items(), kPiecesPerThread * static_cast<std::size_t>(threads),
      [&](std::size_t begin, std::size_t end) { run_items(in, weights, &output, out, {begin, end - begin}); });
}

template <class Numbers>
void Convolution<Numbers>::run_items(const Map& in, const Packed* weights, const Output* output, const Map& out,
                                     const Tile& items) const {
  std::size_t first = items.first, left = items.length;
  for (const Class& cls : layout_.classes) {
    const std::size_t blocks = row_blocks(cls), all = parts() * blocks;
    if (first < all && left > 0) {
      const Pass work = pass(cls, in, weights, *output, out, blocks);
      for (; left > 0 && first < all; ++first, --left) run_item(work, first);
    }
    first -= std::min(first, all);
    if (Numbers::kOutputOfClass) ++output;
  }
}

template <class Numbers>
std::size_t Convolution<Numbers>::panels_per_item() const {
  return weight_bytes() / groups_ <= Numbers::kFewBytes ? panels_.count() : 1;
}

template <class Numbers>
std::size_t Convolution<Numbers>::row_blocks(const Class& cls) const {
  const std::size_t width = layout_.in.w + layout_.window.x.before + layout_.window.x.after;
  const std::size_t pixel = layout_.in.pixel() * Numbers::element_bytes(*kernels_);
  const std::size_t row_bytes = checked_product({width, pixel, layout_.in_step.y});
  if (panels_per_item() > 1) return cls.rows;
  std::size_t blocks = ceil_div(cls.rows, std::max<std::size_t>(1, kBlockBytes / row_bytes));
  // Each block reads all weights again. One block reads them once, but its input for each panel, at worst from memory.
  const std::size_t weights = weight_bytes() / groups_, image = cls.rows * row_bytes;
  if (weights >= Numbers::kStreamedBytes && image < Numbers::kStreamedBytes &&
      panels_.count() * image < (blocks - 1) * weights)
    blocks = 1;
  if (Numbers::kSharesRows && (cls.rows % members_ == 0 || cls.rows >= kRowsPerMember * members_))
    blocks = round_up(blocks, members_);
  else if (parts() * blocks % members_ != 0 && parts() * blocks < 8 * members_)
    blocks *= ceil_div(8 * members_, parts() * blocks);
  return std::min(blocks, cls.rows);
}

template <class Numbers>
typename Convolution<Numbers>::Pass Convolution<Numbers>::pass(const Class& cls, const Map& in, const Packed* weights,
                                                               const Output& output, const Map& out,
                                                               std::size_t blocks) const {
  Pass pass{cls, in, out, weights, output, {}, blocks, 0, 0};
  layout_.offsets(cls, in.row(), in.pixel(), pass.offsets);
  if (cls.tap_count > 0 && cls.rows > 1 && in.image() * sizeof(Packed) >= Numbers::kFarBytes) {
    const ConvTaps::Reach reach = layout_.reach(cls);
    const std::size_t rows = std::min(layout_.in_step.y, static_cast<std::size_t>(reach.last - reach.first) + 1);
    pass.next_first = reach.last + 1 + signed_size(layout_.in_step.y - rows);
    pass.next_length = rows * in.row();
  }
  return pass;
}

// An item is one panel over one block of rows. Panels vary fastest, so that a block of input rows stays in the cache
// for all panels. If weights are few, an item is all panels of a group, which each tile of pixels uses one after the
// other, so that writes to memory are contiguous.
template <class Numbers>
void Convolution<Numbers>::run_item(const Pass& pass, std::size_t item) const {
  const std::size_t per_item = panels_per_item(), sets = panels_.count() / per_item;
  const std::size_t block = item / (sets * groups_) % pass.blocks;
  run_part(pass, item / (sets * groups_ * pass.blocks), item / sets % groups_, item % sets * per_item,
           even_tile(pass.cls.rows, pass.blocks, block));
}

template <class Numbers>
void Convolution<Numbers>::run_rows(const Map& in, const Packed* weights, const Output& output, const Map& out,
                                    const Tile& rows) const {
  const Pass work = pass(layout_.classes.front(), in, weights, output, out, 1);
  for (std::size_t group = 0; group < groups_; ++group)
    for (std::size_t panel = 0; panel < panels_.count(); panel += panels_per_item())
      run_part(work, 0, group, panel, rows);
}

template <class Numbers>
void Convolution<Numbers>::run_part(const Pass& pass, std::size_t image, std::size_t group, std::size_t first_panel,
                                    const Tile& rows) const {
  const Class& cls = pass.cls;
  const std::size_t per_item = panels_per_item();
  const std::size_t channel = group * panels_.channels + first_panel * panels_.width();
  int vectors = panels_.panel_vectors(first_panel);
  const std::size_t longest = static_cast<std::size_t>(kernels_->max_rows[vectors - 1]);
  const EvenTiles tiles(cls.columns, ceil_div(cls.columns, longest));
  // What one lane takes in packed weights, and how many steps the taps of this class have.
  const std::size_t lane_length = layout_.taps.size() * steps_ * Numbers::kLane;
  const std::size_t class_steps = cls.tap_count * steps_;

  typename Numbers::ConvTile tile{};
  tile.input_pixel = signed_size(layout_.in_pixel(pass.in));
  tile.taps = pass.offsets;
  tile.tap_count = cls.tap_count;
  tile.steps = steps_;
  tile.out_pixel = signed_size(layout_.out_pixel(pass.out));
  const Packed* addend_row = nullptr;
  if constexpr (Numbers::kAdds) tile.addend_pixel = signed_size(layout_.out_pixel(pass.output.addend_for(pass.out)));
  std::size_t used = panels_.count();  // the panel that the tile uses; none
  const auto use = [&](std::size_t panel) {
    const std::size_t lane = group * panels_.padded() + panel * panels_.width();
    tile.weights =
        pass.weights + lane * lane_length + cls.first_tap * steps_ * panels_.panel_width(panel) * Numbers::kLane;
    tile.valid = panels_.valid(panel);
    pass.output.store_by(tile, lane);
    vectors = panels_.panel_vectors(panel);
    used = panel;
  };
  use(first_panel);
  const std::size_t first_width = panels_.panel_width(first_panel);
  // If the weights do not fit the second-level cache and each panel is used for one small image, tiles prefetch the
  // next panel. Otherwise the first panel prefetches input.
  const bool streams = pass.blocks == 1 && weight_bytes() >= Numbers::kStreamedBytes &&
                       Numbers::can_stream(rows.length, tiles.count, first_width);
  const bool looks_ahead = !streams && group == 0 && first_panel == 0 && pass.next_length > 0;
  const std::size_t advance =
      looks_ahead
          ? Numbers::prefetch(tile, nullptr, pass.next_length, tiles.count * class_steps)
          : Numbers::prefetch(tile, tile.weights + first_width * lane_length,
                              class_steps * first_width * Numbers::kLane, rows.length * tiles.count * class_steps);
  const std::size_t lanes = std::min(per_item * panels_.width(), panels_.channels - first_panel * panels_.width());
  const bool is_last = group + 1 == groups_ && first_panel + per_item == panels_.count();  // of the channels
  // The last channels of a pixel are followed by its padding lanes. Tiles clear those that their vectors cover.
  std::size_t padding = is_last ? pass.out.shape.pixel() - pass.out.shape.c : 0;
  if constexpr (Numbers::kClears) {
    const std::size_t covered = group * panels_.channels + panels_.padded();
    tile.pads = is_last && covered <= pass.out.shape.pixel();
    if (tile.pads && covered == pass.out.shape.pixel()) padding = 0;
  }
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    const std::ptrdiff_t in_y = signed_size(row * layout_.in_step.y);
    const std::ptrdiff_t out_y = signed_size(cls.first_y + row * layout_.out_step.y), out_x = signed_size(cls.first_x);
    const Packed* in_row = pass.in.at(image, in_y, 0) + group * depth_ * pass.in.element;
    Packed* out_row = pass.out.at(image, out_y, out_x) + channel * pass.out.element;
    if constexpr (Numbers::kAdds) addend_row = pass.output.addend_at(pass.out, image, out_y, out_x, channel);
    if (looks_ahead) tile.prefetch = pass.in.at(image, in_y + pass.next_first, 0);
    for (std::size_t t = 0; t < tiles.count; ++t) {
      const Tile columns = tiles[t];
      tile.input = in_row + signed_size(columns.first) * tile.input_pixel;
      for (std::size_t panel = first_panel; panel < first_panel + per_item; ++panel) {
        if (panel != used) use(panel);
        const std::size_t skipped = (panel - first_panel) * panels_.width();
        tile.out = out_row + signed_size(columns.first) * tile.out_pixel + skipped * pass.out.element;
        if constexpr (Numbers::kAdds)
          if (addend_row != nullptr)
            tile.addend = addend_row + signed_size(columns.first) * tile.addend_pixel + skipped;
        const bool prefetches = streams || (looks_ahead && panel == first_panel);
        (prefetches ? kernels_->conv_prefetch : kernels_->conv)[vectors - 1][columns.length - 1](tile);
      }
      tile.prefetch += advance * class_steps;
    }
    pass.output.finish(*kernels_, out_row, cls.columns, tile.out_pixel, lanes, padding);
  }
}

template class Convolution<FloatNumbers>;
template class Convolution<IntegerNumbers>;

}  // namespace qarepvgg
