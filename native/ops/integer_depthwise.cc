#include "ops/integer_depthwise.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace qarepvgg {
namespace {

constexpr std::size_t kFour = 4;    // rows of taps, whose products a dot adds
constexpr std::size_t kGroup = 16;  // channels in 128 bits of a block, in bytes and in each vector of its lanes
constexpr std::size_t kMostLanes = 16;
// Strips of a block of input rows run one after the other, so these should stay in a cache.
constexpr std::size_t kRowBytes = 64 * 1024;

// Whether a window has a kernel of its own.
bool has_kernel(const Window& window) {
  const Side &y = window.y, &x = window.x;
  return y.kernel == x.kernel && (y.kernel == 3 || y.kernel == 5) && y.stride == x.stride && y.stride <= 2 &&
         y.dilation == 1 && x.dilation == 1;
}

const IntegerKernels::DepthwiseDots* dots_for(const Window& window, const IntegerKernels& kernels) {
  const IntegerKernels::DepthwiseDots& dots = kernels.depthwise_dots[window.x.kernel == 5];
  return has_kernel(window) && dots.any[0] != nullptr ? &dots : nullptr;
}

// How many output rows share the interleaved input rows.
std::size_t shared_rows(const Window& window) { return window.y.stride == 1 ? 2 : 1; }

}  // namespace

bool IntegerDepthwise::supports(std::size_t in_c, std::size_t out_c, std::size_t groups, const Window& window) {
  return groups == in_c && in_c == out_c && groups > 1 && window.taps() <= kMaxTaps;
}

IntegerDepthwise::IntegerDepthwise(const Window& window, const MapShape& out, const IntegerKernels& kernels)
    : window_(window),
      out_(out),
      kernels_(&kernels),
      kernel_(has_kernel(window) ? kernels.depthwise[window.x.kernel == 5][window.x.stride - 1]
                                 : kernels.depthwise_taps),
      dots_(dots_for(window, kernels)) {}

std::size_t IntegerDepthwise::fours() const { return ceil_div(window_.y.kernel + shared_rows(window_) - 1, kFour); }

// The groups of all channels, and the first of them again for blocks that reach into the next pixel.
std::size_t IntegerDepthwise::weight_vector() const {
  return round_up(panels().padded() + block() - kGroup, kAlignment);
}

std::size_t IntegerDepthwise::weight_bytes() const {
  if (dots_ == nullptr) return checked_product({window_.taps(), panels().padded(), sizeof(float)});
  return checked_product({shared_rows(window_), fours(), window_.x.kernel, kFour, weight_vector()});
}

void IntegerDepthwise::pack_weights(const std::int8_t* weight, std::byte* packed) const {
  const std::size_t taps = window_.taps(), padded = panels().padded();
  std::fill_n(packed, weight_bytes(), std::byte{0});
  if (dots_ == nullptr) {
    auto* floats = reinterpret_cast<float*>(packed);
    for (std::size_t c = 0; c < out_.c; ++c)
      for (std::size_t t = 0; t < taps; ++t) floats[t * padded + c] = weight[c * taps + t];
    return;
  }
  // [output row][four rows][column][vector][group][channel of the vector][row]
  const std::size_t side = window_.x.kernel, groups = weight_vector() / kGroup;
  for (std::size_t out_row = 0; out_row < shared_rows(window_); ++out_row)
    for (std::size_t y = 0; y < side; ++y)
      for (std::size_t x = 0; x < side; ++x)
        for (std::size_t group = 0; group < groups; ++group)
          for (std::size_t i = 0; i < kGroup; ++i) {
            const std::size_t c = (group * kGroup + i) % padded, row = y + out_row;
            if (c >= out_.c) continue;
            const std::size_t vector = ((out_row * fours() + row / kFour) * side + x) * kFour + i / kFour;
            packed[vector * weight_vector() + group * kGroup + i % kFour * kFour + row % kFour] =
                static_cast<std::byte>(weight[(c * side + y) * side + x]);
          }
}

struct IntegerDepthwise::Run {
  const ByteMap &in, &out;
  const std::byte* weights;
  const SumStore& sums;
};

std::size_t IntegerDepthwise::items() const { return out_.n * ceil_div(out_.h, shared_rows(window_)); }

void IntegerDepthwise::run_items(const ByteMap& in, const std::byte* weights, const SumStore& sums, const ByteMap& out,
                                 const Tile& items) const {
  const Run run{in, out, weights, sums};
  const std::size_t shared = shared_rows(window_), per_image = ceil_div(out_.h, shared);
  const std::size_t most = std::max<std::size_t>(1, kRowBytes / (shared * in.row()));
  for (std::size_t item = items.first, end = item + items.length; item < end;) {
    const std::size_t image = item / per_image, index = item % per_image;
    const std::size_t count = std::min({most, end - item, per_image - index}), y = index * shared;
    const Tile rows{y, std::min(count * shared, out_.h - y)};
    if (dots_ != nullptr)
      run_dots(run, image, rows);
    else
      run_taps(run, image, rows);
    for (std::size_t row = y; row < y + rows.length; ++row)
      sums.finish(*kernels_, out.at(image, signed_size(row), 0), out_.w, signed_size(out.pixel()), out_.c);
    const std::size_t line = image * out_.h + y;
    if (sums.has_table()) clear_padding(out, sums.table_zero(), line, line + rows.length);
    item += count;
  }
}

void IntegerDepthwise::run_taps(const Run& run, std::size_t image, const Tile& rows) const {
  const ByteMap& in = run.in;
  std::ptrdiff_t offsets[kMaxTaps];
  for (std::size_t t = 0; t < window_.taps(); ++t)
    offsets[t] = signed_size(t / window_.x.kernel * window_.y.dilation * in.row() +
                             t % window_.x.kernel * window_.x.dilation * in.pixel());
  IntegerDepthwiseRow row{};
  row.input_row = signed_size(in.row());
  row.pixel = signed_size(in.pixel());
  row.taps = offsets;
  row.tap_count = window_.taps();
  row.stride = signed_size(window_.x.stride * in.pixel());
  row.weights = run.weights;
  row.start = run.sums.start(0);
  row.store = run.sums.store(0);
  row.out_pixel = signed_size(run.out.pixel());
  row.pixels = out_.w;
  row.channels = panels().padded();
  for (std::size_t y = rows.first; y < rows.first + rows.length; ++y) {
    row.input =
        in.at(image, signed_size(y * window_.y.stride) - signed_size(window_.y.before), -signed_size(window_.x.before));
    row.out = run.out.at(image, signed_size(y), 0);
    kernel_(row);
  }
}

// Blocks of a row: the one at element `first`, then others `pixels` output pixels apart.
struct IntegerDepthwise::Strip {
  std::size_t first, pixels, count;
};

template <class Body>
void IntegerDepthwise::for_each_strip(const Body& body) const {
  const std::size_t channels = panels().padded(), size = block(), row = out_.w * channels;
  const std::size_t cuts = ceil_div(channels, size);
  // The blocks of a pixel may overlap, which computes some channels twice. With stride 1, blocks may also cut a row of
  // output regardless of its pixels: their taps lie as far apart as in a pixel. Such blocks share no columns, so they
  // interleave two more (four for 5x5), at the cost of about a quarter of a block each.
  const bool overlap = 4 * cuts * size <= (4 + window_.x.kernel / 2) * channels;
  if (window_.x.stride > 1 || overlap) {
    for (std::size_t i = 0; i < cuts; ++i) body(Strip{std::min(i * size, std::max(channels, size) - size), 1, out_.w});
    return;
  }
  const std::size_t period = std::lcm(channels, size);
  for (std::size_t first = 0; first < period && first + size <= row; first += size)
    body(Strip{first, period / channels, (row - first - size) / period + 1});
  if (row % size != 0) body(Strip{std::max(row, size) - size, 1, 1});
}

void IntegerDepthwise::run_dots(const Run& run, std::size_t image, const Tile& rows) const {
  for_each_strip([&](const Strip& strip) { run_strip(run, image, rows, strip); });
}

void IntegerDepthwise::run_strip(const Run& run, std::size_t image, const Tile& rows, const Strip& strip) const {
  const ByteMap &in = run.in, &out = run.out;
  const std::size_t channels = panels().padded(), size = block(), step = strip.pixels * channels;
  const std::size_t first_channel = strip.first % channels;
  alignas(kAlignment) std::int32_t start[kFour * kMostLanes];
  alignas(kAlignment) float scale[kFour * kMostLanes];
  alignas(kAlignment) std::byte scratch[kDepthwiseScratch * kMostLanes * sizeof(std::int32_t)];
  const Requantize store = run.sums.store(0);
  for (std::size_t group = 0, c = first_channel; group < size / kGroup; ++group) {
    for (std::size_t vector = 0; vector < kFour; ++vector) {
      const std::size_t lane = vector * (size / kFour) + group * kFour;
      std::copy_n(run.sums.start(c + vector * kFour), kFour, start + lane);
      std::copy_n(store.scale + c + vector * kFour, kFour, scale + lane);
    }
    c = c + kGroup == channels ? 0 : c + kGroup;
  }

  IntegerDepthwiseBlocks call{};
  call.input_row = signed_size(in.row());
  call.pixel = signed_size(in.pixel());
  call.step = signed_size(window_.x.stride * step);
  call.weights = run.weights + first_channel;
  call.weight_vector = signed_size(weight_vector());
  call.start = start;
  call.store = store;
  call.store.scale = scale;
  call.out_row = signed_size(out.row());
  call.out_step = signed_size(step * out.element);
  call.scratch = scratch;
  // Blocks at the end may reach beyond the row, and are then copied in part.
  const std::size_t row = out_.w * channels;
  const std::size_t inside =
      strip.first + size > row ? 0 : std::min(strip.count, (row - strip.first - size) / step + 1);
  for (std::size_t y = rows.first; y < rows.first + rows.length;) {
    const std::size_t count = std::min(shared_rows(window_), rows.first + rows.length - y);
    const auto kernel =
        strip.pixels == 1 && strip.count > 1 ? dots_->pixels[window_.x.stride - 1][count - 1] : dots_->any[count - 1];
    call.input = in.at(image, signed_size(y * window_.y.stride) - signed_size(window_.y.before),
                       -signed_size(window_.x.before)) +
                 strip.first;
    call.out = out.at(image, signed_size(y), 0) + strip.first * out.element;
    call.blocks = inside;
    if (inside > 0) kernel(call);
    for (std::size_t i = inside; i < strip.count; ++i) {
      std::byte whole[2 * 4 * kMostLanes * sizeof(float)];
      IntegerDepthwiseBlocks last = call;
      last.input += signed_size(i) * call.step;
      last.out = whole;
      last.out_row = signed_size(size * out.element);
      last.blocks = 1;
      kernel(last);
      const std::size_t offset = i * step, bytes = (row - strip.first - offset) * out.element;
      for (std::size_t r = 0; r < count; ++r)
        std::memcpy(call.out + r * out.row() + offset * out.element, whole + r * size * out.element, bytes);
    }
    y += count;
  }
}

}  // namespace qarepvgg
