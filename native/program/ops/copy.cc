#include "program/ops/copy.h"

#include <algorithm>
#include <cstring>

#include "program/ops/integer_moves.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

class StridedCopy final : public Step {
 public:
  StridedCopy(StridedLoop loop, std::ptrdiff_t first, std::size_t element, std::size_t bytes, std::size_t members)
      : Step({loop.runs(), members, 2 * bytes_size(bytes)}), loop_(std::move(loop)), first_(first), element_(element) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    switch (element_) {
      case 1:
        return copy<std::uint8_t>(at, items);
      case 4:
        return copy<std::uint32_t>(at, items);
      default:
        return copy<std::uint64_t>(at, items);
    }
  }

  template <class T>
  void copy(const Operands& at, const Tile& items) const {
    const std::ptrdiff_t step = loop_.stride(0), line = loop_.line_stride(0);
    loop_.for_each_block(items, [&](const StridedLoop::Run& run) {
      const T* from = reinterpret_cast<const T*>(at.inputs[0]) + first_ + loop_.offset(0, run);
      T* to = reinterpret_cast<T*>(at.outputs[0]) + run.index;
      const std::size_t bytes = run.count * sizeof(T);
      if (step == 1)
        return copy_lines(reinterpret_cast<const std::byte*>(from), line * signed_size(sizeof(T)),
                          reinterpret_cast<std::byte*>(to), signed_size(bytes), bytes, run.lines);
      // A few elements of every line at a time: where lines are neighbours, cache lines that were read are used up.
      constexpr std::size_t kTogether = 64 / sizeof(T);
      for (std::size_t first = 0; first < run.count; first += kTogether) {
        const std::size_t end = line == 1 ? std::min(first + kTogether, run.count) : run.count;
        for (std::size_t i = 0; i < run.lines; ++i)
          for (std::size_t j = first; j < end; ++j)
            to[i * run.count + j] = from[signed_size(i) * line + signed_size(j) * step];
        if (end == run.count) break;
      }
    });
  }

  StridedLoop loop_;
  std::ptrdiff_t first_;
  std::size_t element_;
};

template <std::size_t kBytes>
void copy_short_lines(const std::byte* from, std::ptrdiff_t from_step, std::byte* to, std::ptrdiff_t to_step,
                      std::size_t lines) {
  for (std::size_t i = 0; i < lines; ++i, from += from_step, to += to_step) std::memcpy(to, from, kBytes);
}

const TensorType& operand_of(const OpContext& context) {
  context.expect_inputs(1, 1);
  return context.inputs[0].tensor;
}

void expect_axes(std::size_t received, const Dims& dims, const char* what) {
  if (received != dims.size())
    fail(code::kInvalidArg, "expected ", what, " for each of ", dims.size(), " dims, received ", received);
}

}  // namespace

void copy_lines(const std::byte* from, std::ptrdiff_t from_step, std::byte* to, std::ptrdiff_t to_step,
                std::size_t bytes, std::size_t lines) {
  switch (bytes) {
    case 4:
      return copy_short_lines<4>(from, from_step, to, to_step, lines);
    case 8:
      return copy_short_lines<8>(from, from_step, to, to_step, lines);
    case 16:
      return copy_short_lines<16>(from, from_step, to, to_step, lines);
    default:
      for (std::size_t i = 0; i < lines; ++i, from += from_step, to += to_step) std::memcpy(to, from, bytes);
  }
}

std::unique_ptr<Step> make_strided_copy(const Dims& dims, const Strides& strides, std::ptrdiff_t first,
                                        std::size_t element, std::size_t members) {
  return std::make_unique<StridedCopy>(StridedLoop(dims, {strides, strides_of(dims)}), first, element,
                                       elements_of(dims) * element, members);
}

StridedCopyOp::StridedCopyOp(const TensorType& result, Dims walk, Strides strides, std::ptrdiff_t first)
    : result_(result), walk_(std::move(walk)), strides_(std::move(strides)), first_(first) {}

std::optional<std::size_t> StridedCopyOp::offset_in_operand(std::size_t) const {
  if (!StridedLoop(walk_, {strides_, strides_of(walk_)}).is_dense(0)) return std::nullopt;
  return static_cast<std::size_t>(first_) * bytes_of(result_.type);
}

std::unique_ptr<Step> StridedCopyOp::plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                                          std::size_t members) const {
  return make_strided_copy(walk_, strides_, first_, bytes_of(result_.type), members);
}

// reshape: dims.
std::unique_ptr<Op> make_reshape(const OpContext& context) {
  const TensorType& x = operand_of(context);
  const Dims dims = context.attributes().sizes("dims");
  const std::size_t count = x.elements();
  if (elements_of(dims) != count) fail(code::kShape, "expected dims of ", count, " elements, received ", text_of(dims));
  return std::make_unique<StridedCopyOp>(TensorType{x.type, dims}, Dims{count}, Strides{1}, 0);
}

// slice: starts, sizes and steps, one for each axis; steps may be negative. Also takes a map of integers.
std::unique_ptr<Op> make_slice(const OpContext& context) {
  const TensorType& x = operand_of(context);
  const auto starts = context.attributes().sizes("starts"), sizes = context.attributes().sizes("sizes");
  const auto steps = context.attributes().integers("steps");
  for (std::size_t count : {starts.size(), sizes.size(), steps.size()}) expect_axes(count, x.dims, "a slice");
  Strides strides = strides_of(x.dims);
  std::ptrdiff_t first = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const double last =
        static_cast<double>(starts[i]) + (static_cast<double>(sizes[i]) - 1) * static_cast<double>(steps[i]);
    if (sizes[i] > 0 && (starts[i] >= x.dims[i] || last < 0 || last >= static_cast<double>(x.dims[i])))
      fail(code::kShape, "expected a slice inside ", text_of(x.dims), ", received one that leaves axis ", i);
    first += signed_size(starts[i]) * strides[i];
    strides[i] *= steps[i];
  }
  if (context.inputs[0].quantization) {
    AxisSources sources(sizes.size());
    for (std::size_t axis = 0; axis < sizes.size(); ++axis)
      for (std::size_t i = 0; i < sizes[axis]; ++i)
        sources[axis].push_back(static_cast<std::size_t>(signed_size(starts[axis]) + signed_size(i) * steps[axis]));
    return make_integer_move(context, std::move(sources));
  }
  if (elements_of(sizes) == 0) first = 0;
  return std::make_unique<StridedCopyOp>(TensorType{x.type, sizes}, sizes, strides, first);
}

// expand: dims, to which the operand is broadcast.
std::unique_ptr<Op> make_expand(const OpContext& context) {
  const TensorType& x = operand_of(context);
  const Dims dims = broadcast_dims(x.dims, context.attributes().sizes("dims"));
  return std::make_unique<StridedCopyOp>(TensorType{x.type, dims}, dims, broadcast_strides(x.dims, dims), 0);
}

// tile: repeats, one for each axis.
std::unique_ptr<Op> make_tile(const OpContext& context) {
  const TensorType& x = operand_of(context);
  const auto repeats = context.attributes().sizes("repeats");
  expect_axes(repeats.size(), x.dims, "a count");
  const Strides own = strides_of(x.dims);
  Dims dims, walk;
  Strides strides;
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    dims.push_back(checked_mul(repeats[i], x.dims[i]));
    walk.insert(walk.end(), {repeats[i], x.dims[i]});
    strides.insert(strides.end(), {0, own[i]});
  }
  return std::make_unique<StridedCopyOp>(TensorType{x.type, dims}, walk, strides, 0);
}

namespace {

struct Blocks {
  const TensorType& x;
  std::size_t size;
};

Blocks blocks_of(const OpContext& context) {
  const TensorType& x = operand_of(context);
  const std::size_t size = context.attributes().size("blocksize");
  if (x.dims.size() != 4 || size == 0)
    fail(code::kShape, "expected an operand of 4 dims and blocks of at least 1, received ", text_of(x.dims), " and ",
         size);
  checked_mul(size, size);
  return {x, size};
}

}  // namespace

// depthToSpace: blocksize, mode DCR or CRD, which says whether the block's pixels or the channels vary slowest in the
// operand's channels.
std::unique_ptr<Op> make_depth_to_space(const OpContext& context) {
  const auto [x, b] = blocks_of(context);
  const std::size_t n = x.dims[0], c = x.dims[1] / (b * b), h = x.dims[2], w = x.dims[3];
  if (c * b * b != x.dims[1]) fail(code::kShape, "expected channels that ", b * b, " divides, received ", x.dims[1]);
  const Strides own = strides_of(x.dims);
  const bool blocks_first = context.attributes().text("mode") == "DCR";
  const std::ptrdiff_t channel = own[1] * signed_size(blocks_first ? 1 : b * b);
  const std::ptrdiff_t right = own[1] * signed_size(blocks_first ? c : 1), down = right * signed_size(b);
  return std::make_unique<StridedCopyOp>(TensorType{x.type, {n, c, h * b, w * b}}, Dims{n, c, h, b, w, b},
                                         Strides{own[0], channel, own[2], down, own[3], right}, 0);
}

// spaceToDepth: blocksize; the block's pixels vary slowest in the output's channels.
std::unique_ptr<Op> make_space_to_depth(const OpContext& context) {
  const auto [x, b] = blocks_of(context);
  const std::size_t n = x.dims[0], c = x.dims[1], h = x.dims[2] / b, w = x.dims[3] / b;
  if (h * b != x.dims[2] || w * b != x.dims[3])
    fail(code::kShape, "expected sides that ", b, " divides, received ", text_of(x.dims));
  const Strides own = strides_of(x.dims);
  const std::ptrdiff_t side = signed_size(b);
  return std::make_unique<StridedCopyOp>(TensorType{x.type, {n, b * b * c, h, w}}, Dims{n, b, b, c, h, w},
                                         Strides{own[0], own[2], own[3], own[1], own[2] * side, own[3] * side}, 0);
}

}  // namespace qarepvgg
