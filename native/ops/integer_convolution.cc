#include "ops/integer_convolution.h"

#include <algorithm>

namespace qarepvgg {
namespace {

// A block of input rows and a panel of weights share the second-level cache (512 KiB and up on the CPUs meant here).
constexpr std::size_t kBlockBytes = 192 * 1024;
constexpr std::size_t kStreamedBytes = 256 * 1024;
// A team shares an image by rows where no member gets more than this part of a row too much.
constexpr std::size_t kRowsPerMember = 8;

}  // namespace

IntegerConvolution::IntegerConvolution(const ConvShape& shape, const IntegerKernels& kernels)
    : IntegerConvolution(
          shape, choose_panels(shape.out_c / shape.groups, is_matrix_product(shape) ? shape.n : shape.out_w(), kernels),
          kernels) {}

IntegerConvolution::IntegerConvolution(const ConvShape& shape, const Panels& panels, const IntegerKernels& kernels)
    : shape_(shape),
      kernels_(&kernels),
      product_(is_matrix_product(shape)),
      rows_(shape.out_h()),
      columns_(product_ ? shape.n : shape.out_w()),
      steps_(ceil_div(shape.in_c / shape.groups, step_elements(kernels))),
      panels_(panels) {}

std::size_t IntegerConvolution::weight_bytes() const {
  return checked_product({shape_.groups, taps(), steps_, panels_.padded(), kStepBytes});
}

// Into [group][panel][tap][step][lane of the panel][element].
void IntegerConvolution::pack_weights(const std::int8_t* weight, std::byte* packed, int threads) const {
  const std::size_t depth = shape_.in_c / shape_.groups, panel_count = panels_.count();
  const std::size_t elements = step_elements(*kernels_);
  parallel_for(threads, shape_.groups * panel_count, [&](std::size_t item) {
    const std::size_t group = item / panel_count, panel = item % panel_count;
    const std::size_t width = static_cast<std::size_t>(panels_.panel_vectors(panel)) * panels_.lanes;
    const std::size_t valid = panels_.valid(panel), first = panel * panels_.width();
    const std::int8_t* source = weight + (group * panels_.channels + first) * depth * taps();
    std::byte* out = packed + (group * panels_.padded() + first) * taps() * steps_ * kStepBytes;
    for (std::size_t tap = 0; tap < taps(); ++tap)
      for (std::size_t step = 0; step < steps_; ++step)
        out = pack_step(
            *kernels_, width,
            [&](std::size_t lane, std::size_t e) {
              const std::size_t k = step * elements + e;
              return lane < valid && k < depth ? source[(lane * depth + k) * taps() + tap] : std::int8_t{0};
            },
            out);
  });
}

struct IntegerConvolution::Pass {
  const ByteMap &in, &out;
  const std::byte* weights;
  const SumStore& sums;
  std::ptrdiff_t offsets[ConvShape::kMaxKernel * ConvShape::kMaxKernel];
  std::size_t in_pixel, out_pixel;
  std::size_t blocks, items;
};

std::size_t IntegerConvolution::row_blocks(std::size_t row_bytes, std::size_t parts, std::size_t members) const {
  std::size_t blocks = ceil_div(rows_, std::max<std::size_t>(1, kBlockBytes / row_bytes));
  // Members that share rows rather than panels write no cache line in common: a panel of bytes is less than a line.
  if (rows_ % members == 0 || rows_ >= kRowsPerMember * members)
    blocks = round_up(blocks, members);
  else if (parts * blocks % members != 0 && parts * blocks < 8 * members)
    blocks *= ceil_div(8 * members, parts * blocks);
  return std::min(blocks, rows_);
}

void IntegerConvolution::run_part(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                                  const Member& member) const {
  Pass pass{in, out, weights, sums, {}, shape_.stride * in.pixel(), out.pixel(), 0, 0};
  if (product_) {
    pass.in_pixel = in.image();
    pass.out_pixel = out.image();
  }
  const std::ptrdiff_t padding = signed_size(shape_.padding);
  for (std::size_t tap = 0; tap < taps(); ++tap) {
    const std::ptrdiff_t dy = signed_size(tap / shape_.kernel * shape_.dilation) - padding;
    const std::ptrdiff_t dx = signed_size(tap % shape_.kernel * shape_.dilation) - padding;
    pass.offsets[tap] = dy * signed_size(in.row()) + dx * signed_size(in.pixel());
  }
  const std::size_t parts = (product_ ? 1 : shape_.n) * shape_.groups * panels_.count();
  pass.blocks = row_blocks(in.row() * shape_.stride, parts, member.count);
  pass.items = parts * pass.blocks;
  for (std::size_t item = member.begin(pass.items); item < member.end(pass.items); ++item) run_item(pass, item);
}

// Panels vary fastest: a block of input rows stays in the cache while all panels pass over it.
void IntegerConvolution::run_item(const Pass& pass, std::size_t item) const {
  const std::size_t panel_count = panels_.count();
  const std::size_t panel = item % panel_count;
  const std::size_t group = item / panel_count % shape_.groups;
  const std::size_t block = item / (panel_count * shape_.groups) % pass.blocks;
  const std::size_t image = item / (panel_count * shape_.groups * pass.blocks);
  const std::size_t first = panel * panels_.width(), lane = group * panels_.padded() + first;
  const int vectors = panels_.panel_vectors(panel);
  const std::size_t tiles = ceil_div(columns_, static_cast<std::size_t>(kernels_->max_rows[vectors - 1]));
  const Tile rows = even_tile(rows_, pass.blocks, block);

  IntegerTile tile{};
  tile.input_pixel = signed_size(pass.in_pixel);
  tile.taps = pass.offsets;
  tile.tap_count = taps();
  tile.steps = steps_;
  tile.weights = pass.weights + lane * taps() * steps_ * kStepBytes;
  tile.start = pass.sums.start(lane);
  tile.store = pass.sums.store(lane);
  tile.out_pixel = signed_size(pass.out_pixel);
  tile.valid = panels_.valid(panel);
  // Weights that do not stay in the second-level cache, each panel used for one small image: the tiles ask for the next
  // panel's, where they have enough steps for its cache lines.
  const std::size_t steps = taps() * steps_;
  const std::size_t lines = steps * static_cast<std::size_t>(vectors) * panels_.lanes * kStepBytes / kAlignment;
  const bool streams = pass.blocks == 1 && lines <= steps * rows.length * tiles && weight_bytes() >= kStreamedBytes;
  const auto& kernel = streams ? kernels_->conv_prefetch[vectors - 1] : kernels_->conv[vectors - 1];
  tile.prefetch = tile.weights + lines * kAlignment;
  for (std::size_t row = rows.first; row < rows.first + rows.length; ++row) {
    const std::byte* in_row = pass.in.at(image, signed_size(row * shape_.stride), 0) +
                              group * (shape_.in_c / shape_.groups) * pass.in.element;
    std::byte* out_row =
        pass.out.at(image, signed_size(row), 0) + (group * panels_.channels + first) * pass.out.element;
    for (std::size_t t = 0; t < tiles; ++t) {
      const Tile columns = even_tile(columns_, tiles, t);
      tile.input = in_row + signed_size(columns.first) * tile.input_pixel;
      tile.out = out_row + signed_size(columns.first) * tile.out_pixel;
      kernel[columns.length - 1](tile);
      tile.prefetch += steps * kAlignment;
    }
  }
}

}  // namespace qarepvgg
