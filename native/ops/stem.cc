#include "ops/stem.h"

#include <algorithm>

namespace qarepvgg {

template <class Lines>
Stem<Lines>::Stem(const Lines& lines, const Window& window, const Panels& panels)
    : lines_(lines),
      window_(window),
      panels_(panels),
      line_(round_up(lines.images().w + window.x.before + window.x.after, kAlignedFloats) * Numbers::kLane),
      // Columns of a kernel row are consecutive steps of one tap, unless dilation separates them.
      row_taps_(window.x.dilation == 1 ? 1 : window.x.kernel),
      tap_steps_(window.x.kernel / row_taps_) {}

template <class Lines>
Panels Stem<Lines>::choose(const Lines& lines, const Window& window, std::size_t out_c) {
  return choose_panels(out_c, window.x.positions(lines.images().w), lines.kernels());
}

template <class Lines>
std::size_t Stem<Lines>::weight_bytes() const {
  return checked_product({lines_.planes(), window_.taps(), panels_.padded(), kStepBytes});
}

// Packs into [panel][plane][kernel row][kernel column][lane of the panel][element].
template <class Lines>
void Stem<Lines>::pack_weights(const Weight* weight, Packed* packed, int) const {
  const std::size_t channels = lines_.images().c, elements = Numbers::step_elements(lines_.kernels());
  const std::size_t taps = window_.taps();
  for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
    const std::size_t first = panel * panels_.width(), width = panels_.panel_width(panel);
    for (std::size_t c = 0; c < channels; c += elements)
      for (std::size_t tap = 0; tap < taps; ++tap, packed += width * Numbers::kLane)
        Numbers::pack_step(lines_.kernels(), weight + (first * channels + c) * taps + tap,
                           {panels_.valid(panel), channels * taps}, {std::min(elements, channels - c), taps}, width,
                           packed);
  }
}

template <class Lines>
std::size_t Stem<Lines>::scratch_bytes() const {
  const std::size_t lines = checked_product({window_.y.kernel, lines_.planes(), line_, sizeof(Packed)});
  return checked_add(lines, lines_.table_bytes());
}

template <class Lines>
void Stem<Lines>::copy_row(const Image& image, const std::byte* tables, std::size_t n, std::size_t row,
                           Packed* lines) const {
  lines_.clear(lines, lines_.planes() * line_ / Numbers::kLane);
  const std::size_t y = row - window_.y.before;
  if (y >= lines_.images().h) return;  // or below zero
  for (std::size_t plane = 0; plane < lines_.planes(); ++plane)
    lines_.copy(image, tables, n, plane, y, lines + plane * line_ + window_.x.before * Numbers::kLane);
}

template <class Lines>
void Stem<Lines>::run_items(const Image& image, const Packed* weights, const Output& output, const Map& out,
                            std::byte* scratch, const Tile& items, bool first) const {
  const Side &down = window_.y, &across = window_.x;
  const std::size_t planes = lines_.planes(), slot = planes * line_, plane_taps = down.kernel * row_taps_;
  auto* lines = reinterpret_cast<Packed*>(scratch);
  std::byte* tables = scratch + down.kernel * slot * sizeof(Packed);
  if (first) lines_.make_tables(image, tables);

  // Without dilation, an output row shares lines with the row before, so each line has its place in a ring.
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t held[ConvTaps::kMaxTaps], held_image = kNone;
  std::ptrdiff_t taps[kMaxImageChannels * ConvTaps::kMaxTaps];
  for (std::size_t item = items.first; item < items.first + items.length; ++item) {
    const std::size_t n = item / out_rows(), row = item % out_rows();
    if (n != held_image) std::fill_n(held, down.kernel, kNone);
    held_image = n;
    for (std::size_t ky = 0; ky < down.kernel; ++ky) {
      const std::size_t padded_row = row * down.stride + ky * down.dilation;
      const std::size_t place = down.dilation == 1 ? padded_row % down.kernel : ky;
      if (held[place] != padded_row) copy_row(image, tables, n, padded_row, lines + place * slot);
      held[place] = padded_row;
      for (std::size_t plane = 0; plane < planes; ++plane)
        for (std::size_t kx = 0; kx < row_taps_; ++kx)
          taps[plane * plane_taps + ky * row_taps_ + kx] =
              signed_size(place * slot + plane * line_ + kx * across.dilation * Numbers::kLane);
    }
    run_row(lines, taps, weights, output, out, n, row);
  }
}

template <class Lines>
void Stem<Lines>::run_row(const Packed* lines, const std::ptrdiff_t* taps, const Packed* weights, const Output& output,
                          const Map& out, std::size_t n, std::size_t row) const {
  const std::size_t columns = window_.x.positions(lines_.images().w), planes = lines_.planes();
  const std::size_t pixel = window_.x.stride * Numbers::kLane;
  typename Numbers::ConvTile tile{};
  tile.input_pixel = signed_size(pixel);
  tile.taps = taps;
  tile.tap_count = planes * window_.y.kernel * row_taps_;
  tile.steps = tap_steps_;
  tile.out_pixel = signed_size(out.pixel());
  if constexpr (Numbers::kClears) tile.pads = true;
  if constexpr (Numbers::kAdds) tile.addend_pixel = signed_size(output.addend_for(out).pixel());
  Packed* out_row = out.at(n, signed_size(row), 0);
  for (std::size_t panel = 0; panel < panels_.count(); ++panel) {
    const std::size_t first = panel * panels_.width();
    const int vectors = panels_.panel_vectors(panel);
    const std::size_t longest = static_cast<std::size_t>(lines_.kernels().max_rows[vectors - 1]);
    const EvenTiles tiles(columns, ceil_div(columns, longest));
    tile.weights = weights + first * planes * window_.taps() * Numbers::kLane;
    tile.valid = panels_.valid(panel);
    output.store_by(tile, first);
    for (std::size_t t = 0; t < tiles.count; ++t) {
      const Tile part = tiles[t];
      tile.input = lines + part.first * pixel;
      tile.out = out_row + part.first * out.pixel() + first * out.element;
      if constexpr (Numbers::kAdds)
        tile.addend = output.addend_at(out, n, signed_size(row), signed_size(part.first), first);
      lines_.kernels().conv[vectors - 1][part.length - 1](tile);
    }
  }
  const bool clears = Numbers::kClears && panels_.padded() == out.shape.pixel();
  output.finish(lines_.kernels(), out_row, columns, tile.out_pixel, panels_.channels,
                clears ? 0 : out.shape.pixel() - panels_.channels);
}

template class Stem<FloatLines>;
template class Stem<IntegerLines>;

}  // namespace qarepvgg
