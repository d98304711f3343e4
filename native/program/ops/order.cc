// Ops that order the elements along an axis of a plain tensor. argMax: [x]; axis, keepDims, min, last. topK: [x]; axis,
// k, largest.
#include <algorithm>
#include <numeric>

#include "program/ops/dispatch_type.h"
#include "program/ops/lines.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// Whether element i comes before j: the larger (or smaller) one does, or the first of equals. NaN counts as the
// largest.
template <class T>
bool comes_before(const T* x, std::size_t step, std::size_t i, std::size_t j, bool largest) {
  const T a = x[i * step], b = x[j * step];
  if (a == b || (a != a && b != b)) return i < j;
  const bool greater = a != a || a > b;
  return largest ? greater : !greater;
}

// Goes along lines that lie next to each other together.
template <class T>
class ArgMaxStep final : public Step {
 public:
  ArgMaxStep(const Lines& lines, bool largest, bool last, std::size_t members)
      : Step({lines.count, members, 4 * bytes_size(lines.count * lines.length * sizeof(T))}),
        lines_(lines),
        largest_(largest),
        last_(last) {}

 private:
  static constexpr std::size_t kTogether = 64;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    lines_.for_each_group(items, kTogether, [&](std::size_t line, std::size_t count) {
      write(reinterpret_cast<const T*>(at.inputs[0]) + lines_.first(line), count,
            reinterpret_cast<std::int64_t*>(at.outputs[0]) + line);
    });
  }

  void write(const T* x, std::size_t count, std::int64_t* y) const {
    T best[kTogether];
    std::copy_n(x, count, best);
    std::fill_n(y, count, 0);
    for (std::size_t i = 1; i < lines_.length; ++i) {
      x += lines_.step;
      for (std::size_t k = 0; k < count; ++k) {
        if (!replaces(x[k], best[k])) continue;
        best[k] = x[k];
        y[k] = static_cast<std::int64_t>(i);
      }
    }
  }
  // NaN counts as the largest number.
  bool replaces(T next, T best) const {
    if (next == best) return last_;
    if (next != next && best != best) return false;
    return (next != next || next > best) == largest_;
  }

  Lines lines_;
  bool largest_, last_;
};

template <class T>
void write_top(const Operands& at, const Lines& lines, std::size_t line, std::size_t k, bool largest,
               std::byte* scratch) {
  const T* x = reinterpret_cast<const T*>(at.inputs[0]) + lines.first(line);
  auto* order = reinterpret_cast<std::size_t*>(scratch);
  std::iota(order, order + lines.length, std::size_t{0});
  std::partial_sort(order, order + k, order + lines.length,
                    [&](std::size_t i, std::size_t j) { return comes_before(x, lines.step, i, j, largest); });
  const std::size_t first = lines.first(line, k);
  for (std::size_t i = 0; i < k; ++i) {
    reinterpret_cast<T*>(at.outputs[0])[first + i * lines.step] = x[order[i] * lines.step];
    reinterpret_cast<std::int64_t*>(at.outputs[1])[first + i * lines.step] = static_cast<std::int64_t>(order[i]);
  }
}

}  // namespace

std::unique_ptr<Op> make_arg_max(const OpContext& context) {
  const std::size_t axis = axis_of(context);
  const TensorType x = context.inputs[0].tensor;
  const bool smallest = context.attributes().flag("min"), last = context.attributes().flag("last");
  const Lines lines(x.dims, axis);
  if (lines.length == 0) fail(code::kShape, "expected an axis of at least 1, received 0");
  Dims dims = x.dims;
  dims[axis] = 1;
  if (!context.attributes().flag("keepDims")) dims.erase(dims.begin() + signed_size(axis));
  return make_line_op({{Dtype::kInt64, dims}}, [=](std::size_t members) {
    return with_type(x.type, [&](auto zero) -> std::unique_ptr<Step> {
      return std::make_unique<ArgMaxStep<decltype(zero)>>(lines, !smallest, last, members);
    });
  });
}

std::unique_ptr<Op> make_top_k(const OpContext& context) {
  const std::size_t axis = axis_of(context), k = context.attributes().size("k");
  const TensorType x = context.inputs[0].tensor;
  const bool largest = context.attributes().flag("largest");
  const Lines lines(x.dims, axis);
  if (k > lines.length) fail(code::kInvalidArg, "expected k of at most ", lines.length, ", received ", k);
  Dims dims = x.dims;
  dims[axis] = k;
  return make_line_op({{x.type, dims}, {Dtype::kInt64, dims}}, [=](std::size_t members) {
    return with_type(x.type, [&](auto zero) {
      return make_line_step(lines, members, lines.length * sizeof(std::size_t),
                            [=](const Operands& at, std::size_t line, std::byte* scratch) {
                              write_top<decltype(zero)>(at, lines, line, k, largest, scratch);
                            });
    });
  });
}

}  // namespace qarepvgg
